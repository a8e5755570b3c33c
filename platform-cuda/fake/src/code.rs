//! Numbers of results and their names, as in the driver's header. Floor: cellar.

use std::ffi::CStr;

/// What a call of the driver gives.
pub type Outcome = Result<(), u32>;

macro_rules! codes {
    ($($name:ident = $code:literal;)*) => {
        $(pub const $name: u32 = $code;)*

        /// The name of a number, or `None` if this driver does not know it.
        pub fn name(code: u32) -> Option<&'static CStr> {
            let name = match code {
                0 => c"CUDA_SUCCESS".to_bytes_with_nul(),
                $($code => concat!("CUDA_ERROR_", stringify!($name), "\0").as_bytes(),)*
                // Given by rules only.
                719 => c"CUDA_ERROR_LAUNCH_FAILED".to_bytes_with_nul(),
                _ => return None,
            };
            CStr::from_bytes_with_nul(name).ok()
        }
    };
}

codes! {
    INVALID_VALUE = 1;
    OUT_OF_MEMORY = 2;
    NOT_INITIALIZED = 3;
    NO_DEVICE = 100;
    INVALID_DEVICE = 101;
    INVALID_IMAGE = 200;
    INVALID_CONTEXT = 201;
    OPERATING_SYSTEM = 304;
    INVALID_HANDLE = 400;
    NOT_FOUND = 500;
    NOT_READY = 600;
    ILLEGAL_ADDRESS = 700;
    NOT_SUPPORTED = 801;
    STREAM_CAPTURE_UNSUPPORTED = 900;
}
