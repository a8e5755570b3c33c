//! What tests call, besides the driver's functions. Floor: second.

use crate::code::INVALID_VALUE;
use crate::{options, state};
use std::ffi::{CStr, c_char};

/// What was made and not given back.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Live {
    retains: u64,
    blocks: u64,
    reservations: u64,
    mappings: u64,
    pins: u64,
    streams: u64,
    events: u64,
    modules: u64,
}

/// Sets options and adds rules: words `name=value`; see `options`. On 1, the words before the first that
/// makes no sense are in force.
///
/// # Safety
/// `text` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_fake_configure(text: *const c_char) -> u32 {
    // SAFETY: The caller's promise.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let applied = state::with(|state| options::apply(&text, &mut state.options, &mut state.rules));
    match applied {
        Ok(()) => 0,
        Err(word) => {
            eprintln!("ace_fake_configure: `{word}` makes no sense");
            INVALID_VALUE
        }
    }
}

/// Forgets everything, options too: handles and addresses are invalid from now on.
#[unsafe(no_mangle)]
pub extern "C" fn ace_fake_reset() {
    state::reset();
}

/// How often a function was called since the last reset; with a null pointer, any.
///
/// # Safety
/// `name` is a C string or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_fake_calls(name: *const c_char) -> u64 {
    if name.is_null() {
        return state::with(|state| state.calls.values().sum());
    }
    // SAFETY: The caller's promise.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    state::with(|state| state.calls.get(&*name).copied().unwrap_or(0))
}

/// How many things were made and not given back, and into `live`, unless it is null, which.
///
/// # Safety
/// `live` is null or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_fake_live(live: *mut Live) -> u64 {
    let found = state::with(|state| {
        let [blocks, reservations, mappings, pins] = state.memory.live();
        let [streams, events] = state.queue.live();
        let retains = state.contexts.values().map(|context| context.retains).sum();
        let modules = state.modules.len() as u64;
        Live { retains, blocks, reservations, mappings, pins, streams, events, modules }
    });
    if !live.is_null() {
        // SAFETY: The caller's promise.
        unsafe { live.write(found) };
    }
    let Live { retains, blocks, reservations, mappings, pins, streams, events, modules } = found;
    retains + blocks + reservations + mappings + pins + streams + events + modules
}

/// How often a copy or a kernel touched memory that was not there, or not mapped, or not pinned any more,
/// and how often a call broke a capture.
#[unsafe(no_mangle)]
pub extern "C" fn ace_fake_misuses() -> u64 {
    state::with(|state| state.misuses)
}

/// Lets so many nanoseconds pass; gives the time. Under real time it passes by itself.
#[unsafe(no_mangle)]
pub extern "C" fn ace_fake_pass(ns: u64) -> u64 {
    state::with(|state| {
        state.pass(ns);
        state.now_ns
    })
}
