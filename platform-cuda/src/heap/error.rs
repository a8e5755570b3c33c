//! Why a heap of device memory did not do what it was asked. Floor: lift.

use crate::device::{DeviceAddress, DeviceFault};
use ace_alloc::MisuseKind;
use core::fmt;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeapError {
    /// A block of no bytes was asked for.
    ZeroBytes,
    /// This is no power of two, or more than the heap can do.
    Alignment {
        /// What was asked for, in bytes.
        align: u64,
        /// The most that is possible, in bytes.
        most: u64,
    },
    /// The heap's limit is reached, the device has no memory left, or no run of addresses is long enough.
    OutOfMemory {
        /// What was asked for.
        bytes: u64,
    },
    /// The address is not that of a live block.
    Misuse {
        /// What is wrong with it. A block freed twice is told as such while its slab has others in use,
        /// and as never allocated afterwards.
        kind: MisuseKind,
        /// The address that was handed in.
        address: DeviceAddress,
    },
    /// The device failed, otherwise than for lack of memory.
    Device(DeviceFault),
}

impl fmt::Display for HeapError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroBytes => write!(out, "a block has at least one byte"),
            Self::Alignment { align, most } => {
                write!(out, "{align} is no power of two up to {most}, so no alignment of a block")
            }
            Self::OutOfMemory { bytes } => {
                write!(out, "no room for {bytes} bytes within the heap's limit and the device")
            }
            Self::Misuse { kind, address } => write!(out, "{:#x}: {}", address.0, kind.reason()),
            Self::Device(fault) => fault.fmt(out),
        }
    }
}

impl core::error::Error for HeapError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Device(fault) => Some(fault),
            _ => None,
        }
    }
}
