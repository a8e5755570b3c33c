//! Makes the seeded bugs: changed copies of `core/src/protocol/*.rs`, by the table in `mutants.rs`.
//! Only under `--cfg loom`. Fails if a mutant no longer fits the text, so that a stale one is noticed.

mod mutants;

use mutants::{MUTANTS, Mutant};
use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=mutants.rs");
    if env::var_os("CARGO_CFG_LOOM").is_none() {
        return;
    }
    let protocols = Path::new("../../core/src/protocol");
    println!("cargo::rerun-if-changed={}", protocols.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let mut list = String::new();
    for mutant in MUTANTS {
        let text = fs::read_to_string(protocols.join(mutant.file).with_extension("rs"))
            .expect("the protocol has a file of its name");
        let module = mutant.name.replace('-', "_");
        let copy = out.join(&module).with_extension("rs");
        fs::write(&copy, changed(mutant, &text)).expect("OUT_DIR can be written");
        let Mutant { name, file, number, model, why, .. } = mutant;
        writeln!(
            list,
            "/// {why}\nmod {module} {{\n    \
                #[path = {copy:?}]\n    \
                #[allow(warnings, clippy::all, clippy::pedantic)]\n    \
                mod changed;\n    \
                crate::kernels::face!({file}, changed);\n    \
                crate::kernels::version!({file}, changed);\n    \
                #[test]\n    \
                fn is_caught() {{\n        \
                    crate::explore::is_caught({name:?}, {number:?}, crate::{model}::<Version>);\n    \
                }}\n}}"
        )
        .expect("a String takes everything");
    }
    fs::write(out.join("mutants.rs"), list).expect("OUT_DIR can be written");
}

fn changed(mutant: &Mutant, text: &str) -> String {
    let places = text.matches(mutant.find).count();
    assert!(
        places == 1,
        "mutant {}: its text stands {places} times in {}.rs, not once:\n{}",
        mutant.name,
        mutant.file,
        mutant.find
    );
    text.replace(mutant.find, mutant.replace)
}
