//! Lists the devices that the driver shows, or says why there are none. Floor: garden.
//!
//! `cargo run -p ace-alloc-cuda --example devices`

use ace_alloc_cuda::device::Device;
use ace_alloc_cuda::driver::{CudaDevice, Library};
use std::error::Error;
use std::process::ExitCode;

const MIB: u64 = 1 << 20;

fn list() -> Result<(), Box<dyn Error>> {
    let library = Library::find()?;
    let version = library.version()?;
    println!("driver for CUDA {}.{}", version / 1000, version % 1000 / 10);
    for ordinal in 0..library.device_count()? {
        let mut device = CudaDevice::open(library, ordinal)?;
        device.attach()?;
        let (memory, grain) = (device.memory()?, device.granularity() / MIB);
        let (free, total) = (memory.free_bytes / MIB, memory.total_bytes / MIB);
        println!(
            "device {ordinal}: {}, {free} of {total} MiB free, mapped by {grain} MiB",
            device.name()?
        );
    }
    Ok(())
}

fn main() -> ExitCode {
    match list() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
