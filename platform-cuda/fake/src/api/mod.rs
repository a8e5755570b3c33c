//! The functions of the driver, by chapter of its manual. Floor: second.
//!
//! Each begins with [`crate::state::call`] or `call_until`, so that each is counted and can be made to fail.

mod device;
mod memory;
mod module;
mod stream;

use crate::code::{INVALID_VALUE, Outcome};

/// Answers through an out-parameter.
///
/// # Safety
/// `to` is null or may be written to.
unsafe fn answer<T>(to: *mut T, value: T) -> Outcome {
    if to.is_null() {
        return Err(INVALID_VALUE);
    }
    // SAFETY: The caller's promise.
    unsafe { to.write(value) };
    Ok(())
}
