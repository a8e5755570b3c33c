//! The device by CUDA's driver. Floor: ground.
//!
//! Nothing of CUDA is needed to build: types come from `cuda-driver-sys`, functions from the library that
//! is there at run time.
//!
//! ```text
//!  device         CudaDevice: the trait Device
//!  memory         addresses, physical memory, what the driver would not take back
//!  module         kernels: load, look up, launch
//!  stream         streams, events, the pool of events behind marks
//!  context        a device's primary context; every call goes through it
//!  library        the library: opened once, never closed
//!  table          its functions: name, symbol, signature
//!  code           what calls give; which numbers mean that the device is lost
//!  error          why a device can't be opened, in sentences
//! ```
//!
//! ```no_run
//! use ace_alloc_cuda::{device::Device, driver::{CudaDevice, Library}};
//!
//! let mut device = CudaDevice::open(Library::find()?, 0)?;
//! device.attach()?;
//! println!("{}: {:?}", device.name()?, device.memory()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod code;
mod context;
mod device;
mod error;
mod library;
mod memory;
mod module;
mod stream;
mod table;

pub use code::Code;
pub use device::CudaDevice;
pub use error::OpenError;
pub use library::Library;
pub use memory::Block;
pub use module::{Argument, Function, Grid, Module};
pub use stream::{Event, Mark, Stream};
