//! Why a device can't be opened, in sentences that help. Floor: cellar.

use super::code::Code;
use core::fmt;
use std::{path::PathBuf, string::String};

/// Why a device can't be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The driver's library can't be loaded.
    NoDriver {
        /// What was looked for.
        path: PathBuf,
        /// What the loader says.
        reason: String,
    },
    /// The library has no such function: it is another library, or an old driver.
    MissingSymbol {
        /// The library.
        path: PathBuf,
        /// The function.
        symbol: &'static str,
    },
    /// The driver is older than the functions for virtual memory that are used here.
    DriverTooOld {
        /// 1000 × major + 10 × minor, of the CUDA that it is for.
        version: u32,
        /// The same, of the oldest that will do.
        needed: u32,
    },
    /// There is a driver, but no device.
    NoDevice,
    /// There is no device of this number.
    NoSuchDevice {
        /// The number, from 0.
        ordinal: u32,
        /// How many there are.
        count: u32,
    },
    /// The device can't map physical memory under reserved addresses.
    NoVirtualMemory {
        /// Its number, from 0.
        ordinal: u32,
    },
    /// The device has no memory for a context and two streams.
    NoMemory {
        /// Its number, from 0.
        ordinal: u32,
    },
    /// A call failed.
    Failed {
        /// Which.
        call: &'static str,
        /// What it gave.
        code: Code,
        /// The driver's name for that, if it has one.
        name: Option<&'static str>,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = |number: u32| (number / 1000, number % 1000 / 10);
        match self {
            Self::NoDriver { path, reason } => write!(
                out,
                "the CUDA driver `{}` can't be loaded ({reason}); install NVIDIA's driver, or set \
                 ACE_CUDA_LIBRARY to where its libcuda.so.1 is",
                path.display()
            ),
            Self::MissingSymbol { path, symbol } => write!(
                out,
                "`{}` has no function {symbol}, so it is no CUDA driver, or too old a one; set \
                 ACE_CUDA_LIBRARY to the libcuda.so.1 of NVIDIA's driver, or update the driver",
                path.display()
            ),
            Self::DriverTooOld { version: found, needed } => {
                let ((major, minor), (least, part)) = (version(*found), version(*needed));
                write!(
                    out,
                    "the driver is for CUDA {major}.{minor}; virtual memory on the device needs \
                     {least}.{part}: update NVIDIA's driver"
                )
            }
            Self::NoDevice => write!(
                out,
                "the driver finds no device; see whether `nvidia-smi -L` lists one, whether a \
                 container was started with it, and whether CUDA_VISIBLE_DEVICES hides it"
            ),
            Self::NoSuchDevice { ordinal, count } => {
                write!(out, "there is no device {ordinal}: the driver shows {count}, from 0")
            }
            Self::NoVirtualMemory { ordinal } => write!(
                out,
                "device {ordinal} can't map memory under reserved addresses, as some virtual GPUs \
                 can't; choose another device, or ask for a profile that can"
            ),
            Self::NoMemory { ordinal } => write!(
                out,
                "device {ordinal} has no memory left for a context; `nvidia-smi` lists the processes \
                 that use it"
            ),
            Self::Failed { call, code: Code(code), name } => {
                write!(out, "{call} failed with {code}")?;
                name.map_or(Ok(()), |name| write!(out, " ({name})"))?;
                hint(*code).map_or(Ok(()), |hint| write!(out, ": {hint}"))
            }
        }
    }
}

/// What may be behind a result, where the machine must be put right rather than the program.
fn hint(code: u32) -> Option<&'static str> {
    Some(match code {
        3 => "a driver that was started before a fork does not work in the child",
        46 => "another process has the device for itself",
        802 => "a service of the machine, such as the fabric manager, is not running yet",
        803 => {
            "the driver's library and kernel module have different versions; restart the machine"
        }
        804 => {
            "the driver's library is a forward-compatible one, which the device does not support"
        }
        999 => "the driver's kernel module may be missing or hung; see what `nvidia-smi` says",
        _ => return None,
    })
}

impl core::error::Error for OpenError {}
