//! Where the built product is: `libace_alloc.so` and `ace`, made up to date first.

use crate::house;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The built product.
#[derive(Debug)]
pub struct Product {
    /// `libace_alloc.so`.
    pub library: PathBuf,
    /// The `ace` command.
    pub ace: PathBuf,
}

/// Builds what the tests run, as it is shipped (for a test with debug assertions: with them), in the target
/// folder of this test, and says where it is. Where it is up to date already, this takes a moment only.
///
/// # Panics
/// If the build fails.
pub fn product() -> &'static Product {
    static PRODUCT: OnceLock<Product> = OnceLock::new();
    PRODUCT.get_or_init(|| {
        let packages = ["-p", "ace", "-p", "ace-alloc-preload", "-p", "ace-alloc-counted"];
        let built = build(&target_folder(), shipped(), &packages);
        Product { library: built.join("libace_alloc.so"), ace: built.join("ace") }
    })
}

/// The product's library; for tests of the build without live-bit checks, its unchecked build.
///
/// # Panics
/// If the build fails.
pub fn library() -> &'static Path {
    static UNCHECKED: OnceLock<PathBuf> = OnceLock::new();
    if !cfg!(feature = "unchecked") {
        return &product().library;
    }
    UNCHECKED.get_or_init(|| {
        let library = ["-p", "ace-alloc-preload", "--features", "ace-alloc-preload/unchecked"];
        build(&target_folder().join("unchecked"), shipped(), &library).join("libace_alloc.so")
    })
}

/// `libace_cuda.so`, made up to date first.
///
/// # Panics
/// If the build fails.
pub fn cuda_library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    let build = || build(&target_folder(), shipped(), &["--package", "ace-alloc-cuda-capi"]);
    LIBRARY.get_or_init(|| build().join("libace_cuda.so"))
}

/// Runs `cargo build` and returns the folder of what it made.
///
/// # Panics
/// If the build fails.
#[must_use]
pub fn build(target: &Path, profile: &str, arguments: &[&str]) -> PathBuf {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(house::root()).args(["build", "--quiet", "--profile"]);
    cargo.arg(if profile == "debug" { "dev" } else { profile });
    cargo.arg("--target-dir").arg(target).args(arguments);
    // What cargo told this test about its own package must not reach the packages that are built.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "cargo build {arguments:?}: {status}");
    target.join(profile)
}

/// Runs `cargo build` for the profile and target folder of this test.
///
/// # Panics
/// If the build fails.
#[must_use]
pub fn build_here(arguments: &[&str]) -> PathBuf {
    build(&target_folder(), &profile(), arguments)
}

/// The target folder that this test was built into.
#[must_use]
pub fn target_folder() -> PathBuf {
    profile_folder().parent().expect("a target folder").to_path_buf()
}

fn profile() -> String {
    profile_folder().file_name().expect("a profile").to_string_lossy().into_owned()
}

/// The profile of what users get, where this test is not about debug assertions.
fn shipped() -> &'static str {
    if profile() == "debug" { "debug" } else { "release" }
}

/// `target/<profile>`: the test itself is in `deps` below it.
fn profile_folder() -> PathBuf {
    let test = env::current_exe().expect("the test has a path");
    test.ancestors().nth(2).expect("target/<profile>/deps/<test>").to_path_buf()
}
