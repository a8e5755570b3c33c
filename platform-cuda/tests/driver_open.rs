//! Promises of opening a device: each reason why there is none has its own error, and a sentence that says
//! what to do. Floor: garden.

#![cfg(feature = "driver")]

use ace_alloc_cuda::device::{Device, DeviceFault};
use ace_alloc_cuda::driver::{Code, CudaDevice, Library, OpenError};
use ace_alloc_tests::fake_cuda::{self, Fake, Live};
use std::fs;
use std::path::Path;

fn library(path: impl AsRef<Path>) -> Result<Library, OpenError> {
    // SAFETY: The fake has the driver's ABI, and other libraries here have none of its names.
    unsafe { Library::open(path.as_ref()) }
}

fn open(fake: &Fake) -> Result<CudaDevice, OpenError> {
    CudaDevice::open(library(fake.path())?, 0)
}

fn failure(fake: &Fake) -> OpenError {
    let error = open(fake).expect_err("the device can't be opened");
    assert_eq!(fake.live(), Live::default(), "{error}");
    error
}

#[test]
fn nothing_of_cuda_is_linked() {
    let loaded = fs::read_to_string("/proc/self/maps").expect("Linux");
    assert!(loaded.contains("libc.so"), "the libraries of this process: {loaded}");
    assert!(!loaded.contains("libcuda"), "{loaded}");
}

#[test]
fn without_a_driver_the_error_says_what_to_install() {
    let error = library("libcuda-of-nobody.so.1").expect_err("no such library");
    assert!(
        matches!(&error, OpenError::NoDriver { path, .. } if path.starts_with("libcuda-of-nobody.so.1"))
    );
    let text = error.to_string();
    assert!(
        text.contains("install NVIDIA's driver") && text.contains("ACE_CUDA_LIBRARY"),
        "{text}"
    );
    // The loader's own words are part of it.
    assert!(text.contains("cannot open shared object file"), "{text}");
}

#[test]
fn a_path_that_is_no_string_of_c_is_no_driver() {
    let error = library("lib\0cuda.so").expect_err("no such library");
    assert!(matches!(error, OpenError::NoDriver { .. }), "{error}");
}

#[test]
fn another_library_is_told_by_what_it_lacks() {
    let error = library("libc.so.6").expect_err("not a driver");
    assert!(matches!(error, OpenError::MissingSymbol { symbol: "cuInit", .. }), "{error:?}");
    assert!(error.to_string().contains("no function cuInit"), "{error}");
}

#[test]
fn a_machine_without_a_device_is_told_from_one_without_a_driver() {
    let fake = fake_cuda::load();
    fake.configure("devices=0");
    let error = failure(&fake);
    assert_eq!(error, OpenError::NoDevice);
    assert!(error.to_string().contains("nvidia-smi -L"), "{error}");
}

#[test]
fn an_old_driver_is_told_by_its_version() {
    let fake = fake_cuda::load();
    fake.configure("driver_version=10010");
    let error = failure(&fake);
    assert_eq!(error, OpenError::DriverTooOld { version: 10_010, needed: 11_000 });
    assert!(error.to_string().contains("CUDA 10.1"), "{error}");
}

#[test]
fn a_device_number_out_of_range_is_told_with_the_range() {
    let fake = fake_cuda::load();
    fake.configure("devices=2");
    let library = library(fake.path()).expect("a driver");
    for ordinal in [2, 3, u32::MAX] {
        let error = CudaDevice::open(library, ordinal).expect_err("no such device");
        assert_eq!(error, OpenError::NoSuchDevice { ordinal, count: 2 });
    }
    assert!(CudaDevice::open(library, 1).is_ok());
}

#[test]
fn a_device_without_virtual_memory_is_refused() {
    let fake = fake_cuda::load();
    fake.configure("virtual_memory=0");
    assert_eq!(failure(&fake), OpenError::NoVirtualMemory { ordinal: 0 });
}

#[test]
fn results_that_nobody_knows_are_shown_by_number() {
    let fake = fake_cuda::load();
    // In no header; in newer headers than that of our types; in all of them.
    for (code, name) in
        [(99_999, None), (226, None), (807, None), (719, Some("CUDA_ERROR_LAUNCH_FAILED"))]
    {
        for call in ["cuInit", "cuDevicePrimaryCtxRetain", "cuMemGetAllocationGranularity"] {
            fake.reset();
            fake.configure(&format!("fail={call}:1:{code}"));
            let error = failure(&fake);
            assert_eq!(error, OpenError::Failed { call, code: Code(code), name });
            assert!(
                error.to_string().starts_with(&format!("{call} failed with {code}")),
                "{error}"
            );
        }
    }
}

#[test]
fn results_that_the_machine_must_answer_for_come_with_a_hint() {
    let fake = fake_cuda::load();
    fake.configure("fail=cuDevicePrimaryCtxRetain:1:2");
    let full = failure(&fake);
    assert_eq!(full, OpenError::NoMemory { ordinal: 0 });
    assert!(full.to_string().contains("`nvidia-smi` lists the processes"), "{full}");
    fake.configure("fail=cuInit:1:803");
    let mixed = failure(&fake).to_string();
    assert_eq!(
        mixed,
        "cuInit failed with 803: the driver's library and kernel module have different versions; \
         restart the machine"
    );
}

#[test]
fn whatever_call_fails_the_error_is_typed_and_nothing_is_left() {
    let fake = fake_cuda::load();
    let (mut failed, mut k) = (0, 0);
    loop {
        k += 1;
        fake.reset();
        fake.configure(&format!("fail=*:{k}:999"));
        match open(&fake) {
            // A drop may have met the failure: it must have coped.
            Ok(device) => drop(device),
            Err(OpenError::Failed { code: Code(999), name: None, .. }) => failed += 1,
            Err(other) => panic!("call {k}: {other:?}"),
        }
        assert_eq!(fake.live(), Live::default(), "call {k} failed");
        if fake.calls(None) < k {
            break;
        }
    }
    assert_eq!(failed, 9, "calls that opening can't do without");
}

#[test]
fn opening_leaves_the_current_context_of_the_thread() {
    let fake = fake_cuda::load();
    let mut device = open(&fake).expect("a device");
    let none = DeviceFault::Refused { call: "cuMemGetInfo_v2", code: 201 };
    assert_eq!(device.memory(), Err(none), "no context is current yet");
    device.attach().expect("attached");
    assert!(device.memory().is_ok());
}
