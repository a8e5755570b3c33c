//! A process that forks keeps a heap whose other threads are gone. Floor: roof.

use super::Heap;
use crate::{
    platform::Platform,
    tiny::{Local, cold},
};
use lock_api::RawMutex;

impl<P: Platform> Heap<P> {
    /// Before a fork: takes the pool's lock, so that the child finds the pool whole.
    pub fn fork_prepare(&self) {
        self.shared.raw_lock().lock();
    }

    /// After a fork, in the parent.
    ///
    /// # Safety
    /// Follows [`Self::fork_prepare`] on the same thread.
    pub unsafe fn fork_parent(&self) {
        // SAFETY: the lock was taken in `fork_prepare`.
        unsafe { self.shared.raw_lock().unlock() };
    }

    /// After a fork, in the child: gives the slabs of all threads that are gone to the pool. What
    /// those threads had in their magazines is found again by the live bits; without them (feature
    /// `unchecked`) it stays out of use.
    ///
    /// # Safety
    /// Follows [`Self::fork_prepare`] on the thread that forked, the only one of the child.
    pub unsafe fn fork_child(&self) {
        // SAFETY: the lock was taken in `fork_prepare`, and nobody else waits for it.
        unsafe { self.shared.raw_lock().unlock() };
        // SAFETY: the child has one thread.
        unsafe { self.shared.seat.restart() };
        // SAFETY: likewise.
        unsafe { self.shared.ring.restart() };
        let own = Local::current(&self.shared);
        cold::bury(&self.shared, own.as_ref());
    }
}
