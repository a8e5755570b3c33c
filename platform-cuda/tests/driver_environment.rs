//! Promises of the environment: it names the driver's library, and the example `devices` lists what that
//! shows, or says why it can't. Floor: garden.

#![cfg(feature = "driver")]

use ace_alloc_tests::{fake_cuda, product};
use std::ffi::OsStr;
use std::process::{Command, Output};

/// Runs the example, with these variables only.
fn devices(variables: &[(&str, &OsStr)]) -> (bool, String) {
    let built = product::build_here(&["--package", "ace-alloc-cuda", "--example", "devices"]);
    let mut command = Command::new(built.join("examples/devices"));
    let Output { status, stdout, stderr } =
        command.env_clear().envs(variables.iter().copied()).output().expect("it runs");
    let text = [stdout, stderr].concat();
    (status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn ace_cuda_library_names_the_driver() {
    let fake = fake_cuda::load();
    let library = ("ACE_CUDA_LIBRARY", fake.path().as_os_str());
    let (listed, text) = devices(&[
        library,
        ("ACE_FAKE_CUDA_DEVICES", "2".as_ref()),
        ("ACE_FAKE_CUDA_DRIVER_VERSION", "13000".as_ref()),
        ("ACE_FAKE_CUDA_MEMORY_BYTES", "67108864".as_ref()),
    ]);
    assert!(listed, "{text}");
    let line = |ordinal| {
        format!("device {ordinal}: ACE fake device, 64 of 64 MiB free, mapped by 2 MiB\n")
    };
    assert_eq!(text, format!("driver for CUDA 13.0\n{}{}", line(0), line(1)));
    let (listed, text) = devices(&[library, ("ACE_FAKE_CUDA_DEVICES", "0".as_ref())]);
    assert!(!listed && text.starts_with("the driver finds no device"), "{text}");
    let (listed, text) = devices(&[("ACE_CUDA_LIBRARY", "libm.so.6".as_ref())]);
    assert!(!listed && text.starts_with("`libm.so.6` has no function cuInit"), "{text}");
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    // What it says depends on the machine; that it looks for a library without a name does not.
    let ((unset, _), (empty, text)) = (devices(&[]), devices(&[("ACE_CUDA_LIBRARY", "".as_ref())]));
    assert_eq!(unset, empty, "{text}");
    assert!(!text.contains("``"), "{text}");
}

#[test]
fn a_variable_of_the_fakes_that_makes_no_sense_stops_the_test() {
    let fake = fake_cuda::load();
    let library = ("ACE_CUDA_LIBRARY", fake.path().as_os_str());
    for (name, value) in [
        ("ACE_FAKE_CUDA_DEVICES", "many"),
        ("ACE_FAKE_CUDA_GRANULARITY_BYTES", "3"),
        ("ACE_FAKE_CUDA_FAIL", "cuInit"),
        ("ACE_FAKE_CUDA_FAIL", "cuInit:0:1"),
    ] {
        let (listed, text) = devices(&[library, (name, value.as_ref())]);
        assert!(!listed && text.contains(name), "{name}={value}: {text}");
    }
    let (listed, text) = devices(&[library, ("ACE_FAKE_CUDA_FAIL", "cuInit:1:719".as_ref())]);
    assert!(!listed && text.contains("719 (CUDA_ERROR_LAUNCH_FAILED)"), "{text}");
}
