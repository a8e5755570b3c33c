//! What calls of the driver give. Floor: cellar.
//!
//! A result is taken as a plain number: newer drivers have results that the enum of `cuda-driver-sys` does
//! not, and to make one of them up as an enum would be undefined behaviour.

use crate::device::DeviceFault;
use core::ffi::c_uint;
use cuda_driver_sys::CUresult;

/// A result of the driver, known to us or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u32);

/// Results after which the context, and with it all that is on the device, can't be used any more. Of most
/// of them the driver's manual says that "the process must be terminated and relaunched".
///
/// Numbers without a name are not in the enum of `cuda-driver-sys`.
const LOST: &[u32] = &[
    CUresult::CUDA_ERROR_DEINITIALIZED as u32,
    CUresult::CUDA_ERROR_ECC_UNCORRECTABLE as u32,
    CUresult::CUDA_ERROR_NVLINK_UNCORRECTABLE as u32,
    226, // CONTAINED
    CUresult::CUDA_ERROR_ILLEGAL_ADDRESS as u32,
    CUresult::CUDA_ERROR_LAUNCH_TIMEOUT as u32,
    CUresult::CUDA_ERROR_CONTEXT_IS_DESTROYED as u32,
    CUresult::CUDA_ERROR_ASSERT as u32,
    CUresult::CUDA_ERROR_HARDWARE_STACK_ERROR as u32,
    CUresult::CUDA_ERROR_ILLEGAL_INSTRUCTION as u32,
    CUresult::CUDA_ERROR_MISALIGNED_ADDRESS as u32,
    CUresult::CUDA_ERROR_INVALID_ADDRESS_SPACE as u32,
    CUresult::CUDA_ERROR_INVALID_PC as u32,
    CUresult::CUDA_ERROR_LAUNCH_FAILED as u32,
    721, // TENSOR_MEMORY_LEAK
    806, // MPS_RPC_FAILURE
    810, // MPS_CLIENT_TERMINATED
    911, // EXTERNAL_DEVICE
];

impl Code {
    pub(super) const NO_DEVICE: Self = Self(CUresult::CUDA_ERROR_NO_DEVICE as u32);
    pub(super) const NOT_READY: Self = Self(CUresult::CUDA_ERROR_NOT_READY as u32);
    pub(super) const CAPTURING: Self = Self(CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED as u32);
    const OUT_OF_MEMORY: Self = Self(CUresult::CUDA_ERROR_OUT_OF_MEMORY as u32);

    /// Whether all that was on the device is gone.
    #[must_use]
    pub fn is_loss(self) -> bool {
        LOST.contains(&self.0)
    }

    /// What it means for a device.
    pub(super) fn fault(self, call: &'static str) -> DeviceFault {
        match self {
            Self::OUT_OF_MEMORY => DeviceFault::OutOfMemory,
            _ if self.is_loss() => DeviceFault::Lost { call, code: self.0 },
            _ => DeviceFault::Refused { call, code: self.0 },
        }
    }
}

/// What a function gave, as a result.
pub(super) fn result(returned: c_uint) -> Result<(), Code> {
    if returned == CUresult::CUDA_SUCCESS as u32 { Ok(()) } else { Err(Code(returned)) }
}
