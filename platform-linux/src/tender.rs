//! A thread that takes turns of ACE while the program does nothing (`ACE_TENDER=1`). Floor: adapter.
//!
//! It begins at a pause of some slow path, not before: a program that hardly uses the heap has none, and
//! neither has a forked child until it pauses itself. It sleeps [`SHORT_MS`] while things happen, and twice as
//! long after each turn that saw nothing, up to [`LONG_MS`]. After [`PATIENCE`] such turns it ends, and so it
//! does when no thread holds a heap any more: then what is idle wakes nobody, and a program whose main thread
//! has called `pthread_exit` ends with its last thread. The next pause begins another one.
//!
//! While it sleeps for [`SHORT_MS`] the heap is attended: what is freed waits for the turn that finds it unused.
//!
//! Nothing that it calls allocates. (Blocks that a visit found astray may make it an owner of an outbox.)

use crate::{HEAP, KeepErrno, LinuxThreads, clock, options};
use ace_alloc::{ace::Turn, platform::Threads};
use core::{
    ffi::c_void,
    mem::MaybeUninit,
    ptr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// Sleep while things happen, in milliseconds: shorter than what threads let pass between turns, so that in a
/// busy program they take none.
const SHORT_MS: u64 = 16;
/// Longest sleep.
const LONG_MS: u64 = 1000;
/// Turns in a row after the longest sleep that see nothing: then the tender ends.
const PATIENCE: u32 = 30;
/// Chosen: a turn needs some 4 KiB; the C library takes the program's thread-local storage out of it too.
const STACK_BYTES: usize = 128 << 10;

/// Whether there is a tender, or one is being made.
static RUNS: AtomicBool = AtomicBool::new(false);
/// Address of the tender's front: no other thread has the same. 0: no tender.
static FRONT: AtomicUsize = AtomicUsize::new(0);
/// Whether a turn saw something happen since the tender last looked.
static STIR: AtomicBool = AtomicBool::new(false);
/// Whether a thread held a heap at the last turn.
static PEOPLED: AtomicBool = AtomicBool::new(false);

/// Whether the caller is the tender.
pub(crate) fn is_me() -> bool {
    FRONT.load(Ordering::Relaxed) == LinuxThreads.front().addr().get()
}

/// A turn was taken: notes what the tender wants to know.
pub(crate) fn on_turn(turn: &Turn<'_>) {
    // Relaxed, here and below: hints.
    PEOPLED.store(turn.seen.levels.threads > 0, Ordering::Relaxed);
    if !turn.orders.is_empty() || turn.seen.events.counts().iter().any(|&count| count > 0) {
        STIR.store(true, Ordering::Relaxed);
    }
}

/// A pause: begins the tender if one is wanted and there is none.
pub(crate) fn on_pause() {
    if options::tender_is_wanted() && !RUNS.load(Ordering::Relaxed) {
        begin();
    }
}

/// In the child of a fork: the tender stayed with the parent.
pub(crate) fn on_fork() {
    RUNS.store(false, Ordering::Relaxed);
    FRONT.store(0, Ordering::Relaxed);
}

/// Begins the tender, unless there is one. `false`: the system gives no thread; a later pause tries again.
#[cold]
#[inline(never)]
pub(crate) fn begin() -> bool {
    if RUNS.swap(true, Ordering::Relaxed) {
        return true;
    }
    let _errno = KeepErrno::new();
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: valid places; sigfillset writes the first. A thread begins with its maker's mask: signals
    // stay the program's own.
    let masked = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr())
    };
    // Where thread-local storage is large, only a stack of the usual size has room for it.
    let made = masked == 0 && (make_thread(Some(STACK_BYTES)) || make_thread(None));
    if masked == 0 {
        // SAFETY: the mask that was taken above.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    }
    if !made {
        RUNS.store(false, Ordering::Relaxed);
    }
    made
}

fn make_thread(stack_bytes: Option<usize>) -> bool {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let place = attributes.as_mut_ptr();
    // SAFETY: pthread_attr_init writes the place, and the others change what is in it.
    let ready = unsafe {
        libc::pthread_attr_init(place) == 0
            && libc::pthread_attr_setdetachstate(place, libc::PTHREAD_CREATE_DETACHED) == 0
            && stack_bytes.is_none_or(|bytes| libc::pthread_attr_setstacksize(place, bytes) == 0)
    };
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: valid attributes, and a function that lives as long as the process.
    ready && unsafe { libc::pthread_create(thread.as_mut_ptr(), place, tend, ptr::null_mut()) } == 0
}

extern "C" fn tend(_: *mut c_void) -> *mut c_void {
    // SAFETY: PR_SET_NAME reads a C string of at most 16 bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"ace-tender".as_ptr()) };
    FRONT.store(LinuxThreads.front().addr().get(), Ordering::Relaxed);
    let (mut sleep_ms, mut dull) = (SHORT_MS, 0);
    while dull < PATIENCE {
        // Who sleeps longer would see too late what is freed meanwhile.
        HEAP.set_attended(sleep_ms == SHORT_MS);
        clock::sleep_ms(sleep_ms);
        let Some(now) = clock::now_ms() else { break };
        HEAP.turn(now);
        if STIR.swap(false, Ordering::Relaxed) {
            (sleep_ms, dull) = (SHORT_MS, 0);
        } else if !PEOPLED.load(Ordering::Relaxed) {
            break;
        } else {
            dull += u32::from(sleep_ms == LONG_MS);
            sleep_ms = (sleep_ms * 2).min(LONG_MS);
        }
    }
    HEAP.set_attended(false);
    FRONT.store(0, Ordering::Relaxed);
    RUNS.store(false, Ordering::Relaxed);
    ptr::null_mut()
}
