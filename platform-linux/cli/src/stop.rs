//! Being asked to stop: SIGINT and SIGTERM are counted, and whoever works looks. Floor: tool.

use std::{
    mem,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

static ASKED: AtomicU32 = AtomicU32::new(0);

/// From now on the two signals are counted instead of ending the process.
pub fn listen() {
    // SAFETY: all zeros is a valid sigaction: no mask, no flags.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    let handler: extern "C" fn(libc::c_int) = count;
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: a valid action, whose handler only touches an atomic; the old one is not wanted.
        unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    }
}

/// How often this process was asked to stop.
pub fn asked() -> u32 {
    ASKED.load(Relaxed)
}

extern "C" fn count(_: libc::c_int) {
    ASKED.fetch_add(1, Relaxed);
}
