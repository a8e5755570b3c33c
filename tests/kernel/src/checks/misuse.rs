//! Misuse.
/// Ends.
pub fn end_by_double_free() -> ! { panic!() }
