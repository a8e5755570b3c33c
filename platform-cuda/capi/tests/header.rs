//! Promises of the header: it is what the source says, and C and C++ take it. Floor: garden.

use ace_alloc_tests::house;
use ace_alloc_tests::programs::{Scratch, program, run};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn package() -> PathBuf {
    house::root().join("platform-cuda/capi")
}

/// With `ACE_BLESS=1` it writes the header.
#[test]
fn the_header_is_what_the_source_says() {
    let package = package();
    let config = cbindgen::Config::from_file(package.join("cbindgen.toml")).expect("a good config");
    let bindings = cbindgen::Builder::new().with_config(config).with_crate(&package).generate();
    let mut made = Vec::new();
    bindings.expect("a header").write(&mut made);
    let made = String::from_utf8(made).expect("text").replace("// # Safety\n", "// Safety:\n");
    let path = package.join("include/ace_cuda.h");
    if house::blesses() {
        fs::write(&path, &made).expect("the header can be written");
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    let differs = made.lines().zip(there.lines()).find(|(made, there)| made != there);
    assert!(
        made == there,
        "{} is not what the source says, first in {differs:?}: run this test with ACE_BLESS=1",
        path.display()
    );
}

#[test]
fn c_and_cpp_take_the_header_by_itself_and_twice() {
    let scratch = Scratch::new("header");
    let text = "#include \"ace_cuda.h\"\n#include \"ace_cuda.h\"\nint main(void) { return 0; }\n";
    for (compiler, package_name, standard, file) in
        [("cc", "gcc libc6-dev", "-std=c11", "both.c"), ("c++", "g++", "-std=c++17", "both.cpp")]
    {
        let source = scratch.write(file, text);
        let mut command = Command::new(program(compiler, package_name));
        command.args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]);
        let outcome = run(command.arg("-I").arg(package().join("include")).arg(source));
        assert_eq!(outcome.code, 0, "{compiler} says:\n{}{}", outcome.out, outcome.err);
    }
}
