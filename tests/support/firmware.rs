//! Builds and runs the images of `tests/firmware`: boards under QEMU and a WebAssembly module under node.
//! Debian's second Rust builds them, because it comes with the sources of the standard library.

use crate::house;
use crate::product::target_folder;
use crate::programs::{Outcome, program, run};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's packages that a build needs.
const PACKAGES: &str = "rustc-web cargo-web rust-web-src lld-22";

/// The workspace of the images.
#[must_use]
pub fn folder() -> PathBuf {
    house::root().join("tests/firmware")
}

/// Builds all images of a package and returns their folder.
///
/// # Panics
/// If that fails, or a tool is missing; the message names its Debian packages.
#[must_use]
pub fn build(package: &str, target: &str, arguments: &[&str]) -> PathBuf {
    let tool = |name: &str| {
        let path = Path::new("/usr/bin").join(name);
        assert!(path.is_file(), "{} is missing: apt-get install {PACKAGES}", path.display());
        path
    };
    let (rustc, cargo, _) = (tool("rustc"), tool("cargo"), tool("ld.lld-22"));
    let sources = Path::new("/usr/lib/rustlib/src/rust/library");
    assert!(sources.is_dir(), "the library's sources are missing: apt-get install {PACKAGES}");

    let built = target_folder().join("firmware");
    let mut cargo = Command::new(cargo);
    cargo.current_dir(folder()).args(["build", "--quiet", "--release"]);
    cargo.args(["--package", package, "--target", target]).args(arguments);
    cargo.arg("--target-dir").arg(&built);
    // What the other toolchain told this test must not reach this one.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let starts = ["CARGO_", "RUST"].iter().any(|head| text.starts_with(head));
        if starts && text != "CARGO_HOME" || text == "LD_LIBRARY_PATH" || text == "CARGO" {
            cargo.env_remove(&name);
        }
    }
    // These targets are built with the library's sources, for which a stable compiler wants to be told.
    cargo.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
    let output = cargo.output().expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{cargo:?}: {}\n{said}", output.status);
    built.join(target).join("release")
}

/// Runs an image as `tests/firmware/.cargo/config.toml` says, with these arguments.
///
/// # Panics
/// If the emulator is missing; the message names its Debian package. If the image runs for minutes.
#[must_use]
pub fn start(target: &str, image: &Path, arguments: &[&str]) -> Outcome {
    let runner = runner(target);
    let mut words = runner.split_whitespace();
    let name = words.next().expect("a runner");
    let package = match name {
        "qemu-system-arm" => "qemu-system-arm",
        "node" => "nodejs",
        _ => "qemu-system-misc",
    };
    let mut command = Command::new(program(name, package));
    command.current_dir(folder()).args(words).arg(image);
    match (name, arguments) {
        (_, []) => &mut command,
        ("node", _) => command.args(arguments),
        // QEMU hands them to the image by semihosting.
        _ => command.args([OsString::from("-append"), arguments.join(" ").into()]),
    };
    run(&mut command)
}

/// What starts an image of this target, without the image.
fn runner(target: &str) -> String {
    let config = fs::read_to_string(folder().join(".cargo/config.toml")).expect("a configuration");
    let section =
        config.split(&format!("[target.{target}]\n")).nth(1).expect("the target is known");
    let line = section.lines().find_map(|line| line.strip_prefix("runner = \"")).expect("a runner");
    line.trim_end_matches('"').into()
}
