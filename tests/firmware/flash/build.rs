//! Puts the memory map where the linker looks for it.

use std::path::PathBuf;
use std::{env, fs};

const MAP: &str =
    "MEMORY { FLASH : ORIGIN = 0, LENGTH = 256K  RAM : ORIGIN = 0x20000000, LENGTH = 128K }";

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo's folder for us"));
    fs::write(out.join("memory.x"), MAP).expect("a memory map");
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rerun-if-changed=build.rs");
}
