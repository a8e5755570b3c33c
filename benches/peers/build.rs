//! Owns what a worker can say about the peer it was built with: the crate versions in `Cargo.lock`.

use std::{env, fs, path::Path};

/// The peers' crates, and the variables under which their versions reach the workers.
const CRATES: [(&str, &str); 4] = [
    ("libmimalloc-sys", "PEER_MIMALLOC"),
    ("snmalloc-sys", "PEER_SNMALLOC"),
    ("tikv-jemalloc-sys", "PEER_JEMALLOC"),
    ("rpmalloc-sys", "PEER_RPMALLOC"),
];

fn main() {
    let home = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let lock = fs::read_to_string(Path::new(&home).join("Cargo.lock")).unwrap_or_default();
    for (name, variable) in CRATES {
        let version = locked_version(&lock, name).unwrap_or("unknown");
        println!("cargo:rustc-env={variable}={name} {version}");
    }
    // See .cargo/config.toml: a snmalloc with its assertions in must not pass for a release build.
    let flags = env::var("CXXFLAGS").unwrap_or_default();
    let asserts = if flags.contains("-DNDEBUG") { "" } else { ", assertions on" };
    println!("cargo:rustc-env=PEER_CXX_ASSERTS={asserts}");
    println!("cargo:rerun-if-env-changed=CXXFLAGS");
    println!("cargo:rerun-if-changed=Cargo.lock");
    println!("cargo:rerun-if-changed=build.rs");
}

/// The version that stands in the lock file for `name`.
fn locked_version<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let entry =
        lock.split("[[package]]").find(|entry| entry.contains(&format!("\"{name}\"\nversion")))?;
    entry.lines().find_map(|line| line.strip_prefix("version = "))?.split('"').nth(1)
}
