//! Puts the target's memory map where the linker looks for it.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo's folder for us"));
    let arm = env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "arm");
    let map = if arm { "memory/cortex-m.x" } else { "memory/riscv.x" };
    fs::copy(map, out.join("memory.x")).expect("a copy of the memory map");
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rerun-if-changed=memory");
}
