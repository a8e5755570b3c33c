//! Keeps `-lcuda` from being needed. Floor: lift.
//!
//! `cuda-driver-sys` tells the linker to look for `libcuda`, though only its types are used here and the
//! functions are resolved at run time. An empty archive of that name satisfies the linker on machines
//! without CUDA; as it has no members, nothing is linked.

use std::{env, fs, io, path::Path};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_DRIVER").is_none() {
        return Ok(());
    }
    let folder = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::write(Path::new(&folder).join("libcuda.a"), "!<arch>\n")?;
    println!("cargo::rustc-link-search=native={}", Path::new(&folder).display());
    Ok(())
}
