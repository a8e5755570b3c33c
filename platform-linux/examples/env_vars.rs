//! Prints docs/ENV_VARS.md from the table of options.

fn main() {
    let mut page = String::new();
    ace_alloc_linux::options::write_page(&mut page).expect("a String takes any text");
    print!("{page}");
}
