//! The futex lock: one holder at a time, nobody sleeps for ever, errno is left alone.

use ace_alloc_linux::{FutexLock, KeepErrno};
use lock_api::{Mutex, RawMutex};
use std::{sync::Arc, thread, time::Duration};

#[test]
fn one_holder_at_a_time() {
    let shared = Arc::new(Mutex::<FutexLock, (u64, u64)>::new((0, 0)));
    let threads: Vec<_> = (0..6)
        .map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for turn in 0..20_000 {
                    let mut both = shared.lock();
                    both.0 += 1;
                    // Now and then let the others run into a lock that is held for long.
                    if turn % 1000 == 0 {
                        thread::yield_now();
                    }
                    both.1 += 1;
                    assert_eq!(both.0, both.1);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no assertion failed");
    }
    assert_eq!(*shared.lock(), (120_000, 120_000));
}

#[test]
fn a_sleeper_is_woken_and_keeps_errno() {
    let shared = Arc::new(Mutex::<FutexLock, u32>::new(0));
    let held = shared.lock();
    let sleeper = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            // SAFETY: __errno_location returns this thread's valid errno.
            unsafe { *libc::__errno_location() = 77 };
            *shared.lock() += 1;
            // SAFETY: likewise.
            unsafe { *libc::__errno_location() }
        })
    };
    thread::sleep(Duration::from_millis(50));
    drop(held);
    assert_eq!(sleeper.join().expect("woken"), 77);
    assert_eq!(*shared.lock(), 1);
}

#[test]
fn try_lock_says_no_and_is_locked_says_yes() {
    let lock = FutexLock::INIT;
    assert!(lock.try_lock() && lock.is_locked() && !lock.try_lock());
    // SAFETY: locked two lines above.
    unsafe { lock.unlock() };
    assert!(!lock.is_locked());
}

#[test]
fn errno_comes_back() {
    // SAFETY: __errno_location returns this thread's valid errno.
    unsafe { *libc::__errno_location() = 5 };
    {
        let _keep = KeepErrno::new();
        // SAFETY: a bad descriptor is refused.
        assert_eq!(unsafe { libc::close(-1) }, -1);
    }
    // SAFETY: as above.
    assert_eq!(unsafe { *libc::__errno_location() }, 5);
}
