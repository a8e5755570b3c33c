//! A child process that `ace` stands in for: signals go to it, and `ace` ends as it ended. Floor: tool.
//!
//! While the child runs, the signals of [`FORWARDED`] are blocked in `ace` and taken one by one with
//! `sigwaitinfo`, so there are no handlers. The child begins with the signal mask that `ace` was given.

use std::{
    io,
    mem::MaybeUninit,
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Command, ExitStatus},
    ptr,
};

/// Signals that are meant for the program when somebody sends them to `ace`.
const FORWARDED: [libc::c_int; 10] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGCONT,
    libc::SIGWINCH,
    libc::SIGURG,
];

/// How a child ended.
pub struct Ended {
    /// Its process id.
    pub pid: u32,
    /// Its end.
    pub status: ExitStatus,
    /// Its largest resident set, as the kernel counted it; at least what `ace` itself had.
    pub peak_rss_kib: u64,
}

/// Starts the program, passes signals on to it, and waits for its end.
pub fn run(command: &mut Command) -> io::Result<Ended> {
    let mut waited_for = empty_set();
    for signal in FORWARDED.into_iter().chain([libc::SIGCHLD]) {
        // SAFETY: an initialised set and a valid signal.
        unsafe { libc::sigaddset(&raw mut waited_for, signal) };
    }
    let mut before = empty_set();
    // SAFETY: initialised sets. `ace` has one thread.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const waited_for, &raw mut before) };
    // SAFETY: between fork and exec, sigprocmask is allowed (async-signal-safe).
    unsafe {
        command.pre_exec(move || {
            match libc::sigprocmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut()) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        });
    }
    // Who ignores it (some daemons do, and that is inherited) never learns how a child ended.
    // SAFETY: the default action needs no handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    let pid = command.spawn()?.id();
    loop {
        if let Some(ended) = look(pid)? {
            return Ok(ended);
        }
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: an initialised set and a valid place.
        let signal = unsafe { libc::sigwaitinfo(&raw const waited_for, info.as_mut_ptr()) };
        // SAFETY: all zeros is a valid siginfo_t, and sigwaitinfo wrote only valid ones.
        let sender = unsafe { info.assume_init() }.si_code;
        // Only what a process sent: what the terminal sends (Ctrl-C), it sends to the child as well.
        if FORWARDED.contains(&signal) && sender <= 0 {
            // SAFETY: our own child, which is not waited for yet, so the number is still its own.
            unsafe { libc::kill(pid.cast_signed(), signal) };
        }
    }
}

/// Looks, without waiting, whether a child of ours has ended. `None`: it still runs.
pub fn look(pid: u32) -> io::Result<Option<Ended>> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let (place, usage_place) = (&raw mut status, usage.as_mut_ptr());
    // SAFETY: valid places; the child is ours and nobody else waits for it.
    match unsafe { libc::wait4(pid.cast_signed(), place, libc::WNOHANG, usage_place) } {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        _ => {
            // SAFETY: all zeros is a valid rusage, and wait4 wrote only valid ones.
            let peak = unsafe { usage.assume_init() }.ru_maxrss;
            let status = ExitStatus::from_raw(status);
            Ok(Some(Ended { pid, status, peak_rss_kib: u64::try_from(peak).unwrap_or(0) }))
        }
    }
}

fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: a valid place, which sigemptyset initialises.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

/// The child's exit code. If a signal ended it, the same signal ends `ace` here, so that a shell sees
/// what it would have seen; should that fail, the code that shells use.
pub fn end_like(status: ExitStatus) -> u8 {
    let Some(signal) = status.signal() else {
        return status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(125);
    };
    let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let mut only = empty_set();
    // SAFETY: valid sets, limits and signals; the default action ends the process.
    unsafe {
        // The program left its core file, if any; ours would only overwrite it.
        libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core);
        libc::signal(signal, libc::SIG_DFL);
        libc::sigaddset(&raw mut only, signal);
        libc::raise(signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const only, ptr::null_mut());
    }
    128 + u8::try_from(signal).unwrap_or(0)
}
