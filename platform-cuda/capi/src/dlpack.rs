//! DLPack's structures, by its header `dlpack.h` (<https://github.com/dmlc/dlpack>, version 1.1): the tensor,
//! and its two wrappings, of version 0.8 and of version 1. Floor: cellar.
//!
//! The header of this library only names the wrappings, so that it goes together with `dlpack.h`.

use std::ffi::c_void;
use std::mem::offset_of;

/// `DLPACK_MAJOR_VERSION` and `DLPACK_MINOR_VERSION` whose codes are used.
pub const VERSION: [u32; 2] = [1, 1];
/// `kDLCPU`
pub const CPU: i32 = 1;
/// `kDLCUDA`
pub const CUDA: i32 = 2;
/// The greatest of `DLDataTypeCode` of version 1.1, `kDLFloat4_e2m1fn`.
pub const LAST_TYPE_CODE: u8 = 17;

/// `DLDevice`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Device {
    pub device_type: i32,
    pub device_id: i32,
}

/// `DLDataType`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct DataType {
    pub code: u8,
    pub bits: u8,
    pub lanes: u16,
}

/// `DLTensor`
#[repr(C)]
pub struct Tensor {
    pub data: *mut c_void,
    pub device: Device,
    pub ndim: i32,
    pub dtype: DataType,
    pub shape: *mut i64,
    pub strides: *mut i64,
    pub byte_offset: u64,
}

/// `DLManagedTensor`: the wrapping of version 0.8, which every consumer knows.
#[repr(C)]
pub struct DLManagedTensor {
    pub dl_tensor: Tensor,
    pub manager_ctx: *mut c_void,
    pub deleter: Option<unsafe extern "C" fn(*mut DLManagedTensor)>,
}

/// `DLManagedTensorVersioned`: the wrapping of version 1.
#[repr(C)]
pub struct DLManagedTensorVersioned {
    pub version: [u32; 2],
    pub manager_ctx: *mut c_void,
    pub deleter: Option<unsafe extern "C" fn(*mut DLManagedTensorVersioned)>,
    pub flags: u64,
    pub dl_tensor: Tensor,
}

// As a C compiler lays the header's structures out where pointers have 64 bits.
#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<Device>() == 8 && size_of::<DataType>() == 4 && size_of::<Tensor>() == 48);
    assert!(offset_of!(Tensor, device) == 8 && offset_of!(Tensor, ndim) == 16);
    assert!(offset_of!(Tensor, dtype) == 20 && offset_of!(Tensor, shape) == 24);
    assert!(offset_of!(Tensor, strides) == 32 && offset_of!(Tensor, byte_offset) == 40);
    assert!(size_of::<DLManagedTensor>() == 64);
    assert!(offset_of!(DLManagedTensor, manager_ctx) == 48);
    assert!(offset_of!(DLManagedTensor, deleter) == 56);
    assert!(size_of::<DLManagedTensorVersioned>() == 80);
    assert!(offset_of!(DLManagedTensorVersioned, manager_ctx) == 8);
    assert!(offset_of!(DLManagedTensorVersioned, deleter) == 16);
    assert!(offset_of!(DLManagedTensorVersioned, flags) == 24);
    assert!(offset_of!(DLManagedTensorVersioned, dl_tensor) == 32);
};
