//! The functions of the driver: name, symbol, signature. Floor: cellar.
//!
//! Symbols with a suffix are those that the names of the driver's header stand for, in CUDA 12 and 13. All
//! functions are declared to return a plain number, and enums are passed as numbers: see `code`.

use core::ffi::{CStr, c_char, c_int, c_uint, c_ulonglong, c_void};
use cuda_driver_sys::{
    CUcontext, CUdevice, CUdeviceptr, CUevent, CUfunction, CUmemAccessDesc, CUmemAllocationProp,
    CUmemGenericAllocationHandle, CUmodule, CUstream,
};

// The driver reads these through pointers. The sizes are those of the headers of CUDA 12.9 and 13.5.
const _: () = assert!(size_of::<CUmemAllocationProp>() == 32);
const _: () = assert!(size_of::<CUmemAccessDesc>() == 12);
const _: () = assert!(size_of::<cuda_driver_sys::CUmemLocation>() == 8);

/// A function and what the driver calls it.
#[derive(Clone, Copy)]
pub(super) struct Entry<F> {
    pub symbol: &'static str,
    pub function: F,
}

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident = $symbol:literal($($argument:ty),*);)*) => {
        /// The functions of one library.
        #[derive(Clone, Copy)]
        pub(super) struct Functions {
            $($(#[$doc])* pub $name: Entry<unsafe extern "C" fn($($argument),*) -> c_uint>,)*
        }

        impl Functions {
            /// Looks all of them up.
            ///
            /// # Errors
            /// The symbol that is not there.
            ///
            /// # Safety
            /// What `look_up` finds under a symbol is the driver's function of that name.
            pub unsafe fn resolve(
                look_up: impl Fn(&CStr) -> Option<*mut c_void>,
            ) -> Result<Self, &'static str> {
                $(
                    let name = concat!($symbol, "\0").as_bytes();
                    let found = CStr::from_bytes_with_nul(name).ok().and_then(&look_up);
                    let found = found.ok_or($symbol)?;
                    // SAFETY: By the caller's promise, it has the signature of this row.
                    let $name = Entry { symbol: $symbol, function: unsafe {
                        core::mem::transmute::<
                            *mut c_void,
                            unsafe extern "C" fn($($argument),*) -> c_uint,
                        >(found)
                    } };
                )*
                Ok(Self { $($name,)* })
            }
        }
    };
}

functions! {
    init = "cuInit"(c_uint);
    driver_get_version = "cuDriverGetVersion"(*mut c_int);
    get_error_name = "cuGetErrorName"(c_uint, *mut *const c_char);

    device_get_count = "cuDeviceGetCount"(*mut c_int);
    device_get = "cuDeviceGet"(*mut CUdevice, c_int);
    device_get_name = "cuDeviceGetName"(*mut c_char, c_int, CUdevice);
    device_get_attribute = "cuDeviceGetAttribute"(*mut c_int, c_int, CUdevice);

    context_retain = "cuDevicePrimaryCtxRetain"(*mut CUcontext, CUdevice);
    context_release = "cuDevicePrimaryCtxRelease_v2"(CUdevice);
    context_get_current = "cuCtxGetCurrent"(*mut CUcontext);
    context_set_current = "cuCtxSetCurrent"(CUcontext);
    /// The mode to set; the one before is put in its place.
    thread_exchange_capture_mode = "cuThreadExchangeStreamCaptureMode"(*mut c_uint);

    mem_get_info = "cuMemGetInfo_v2"(*mut usize, *mut usize);
    mem_get_granularity =
        "cuMemGetAllocationGranularity"(*mut usize, *const CUmemAllocationProp, c_uint);
    /// Bytes, alignment, address wanted, flags.
    mem_address_reserve =
        "cuMemAddressReserve"(*mut CUdeviceptr, usize, usize, CUdeviceptr, c_ulonglong);
    mem_address_free = "cuMemAddressFree"(CUdeviceptr, usize);
    mem_create = "cuMemCreate"(
        *mut CUmemGenericAllocationHandle, usize, *const CUmemAllocationProp, c_ulonglong
    );
    mem_release = "cuMemRelease"(CUmemGenericAllocationHandle);
    /// Address, bytes, offset in the memory, memory, flags.
    mem_map =
        "cuMemMap"(CUdeviceptr, usize, usize, CUmemGenericAllocationHandle, c_ulonglong);
    mem_unmap = "cuMemUnmap"(CUdeviceptr, usize);
    mem_set_access = "cuMemSetAccess"(CUdeviceptr, usize, *const CUmemAccessDesc, usize);
    mem_host_alloc = "cuMemHostAlloc"(*mut *mut c_void, usize, c_uint);
    mem_free_host = "cuMemFreeHost"(*mut c_void);
    copy_in = "cuMemcpyHtoDAsync_v2"(CUdeviceptr, *const c_void, usize, CUstream);
    copy_out = "cuMemcpyDtoHAsync_v2"(*mut c_void, CUdeviceptr, usize, CUstream);

    stream_create = "cuStreamCreate"(*mut CUstream, c_uint);
    stream_destroy = "cuStreamDestroy_v2"(CUstream);
    stream_synchronize = "cuStreamSynchronize"(CUstream);
    stream_wait_event = "cuStreamWaitEvent"(CUstream, CUevent, c_uint);
    /// The status: 0 if the stream is not capturing.
    stream_is_capturing = "cuStreamIsCapturing"(CUstream, *mut c_uint);
    event_create = "cuEventCreate"(*mut CUevent, c_uint);
    event_destroy = "cuEventDestroy_v2"(CUevent);
    event_record = "cuEventRecord"(CUevent, CUstream);
    event_query = "cuEventQuery"(CUevent);
    event_synchronize = "cuEventSynchronize"(CUevent);
    event_elapsed_time = "cuEventElapsedTime"(*mut f32, CUevent, CUevent);

    module_load_data = "cuModuleLoadData"(*mut CUmodule, *const c_void);
    module_unload = "cuModuleUnload"(CUmodule);
    module_get_function = "cuModuleGetFunction"(*mut CUfunction, CUmodule, *const c_char);
    /// Function, grid, block, bytes of shared memory, stream, arguments, extra.
    launch_kernel = "cuLaunchKernel"(
        CUfunction, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, CUstream,
        *mut *mut c_void, *mut *mut c_void
    );
}
