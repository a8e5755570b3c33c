//! Numbers for objects. No number is given twice in the life of a process, to objects of whatever sort: a
//! number that was given back, or one of another sort, is told from every other. Floor: cellar.

use crate::status::{AceCudaStatus, Failure};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A number that was never given before. 0 is none.
pub fn new_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Why there is nothing under a number.
pub fn unknown(what: &str, number: u64) -> Failure {
    let message = match number {
        0 => format!("0 is no {what}"),
        _ => format!("there is no {what} {number}: it was given back, or never was one"),
    };
    Failure::new(AceCudaStatus::UnknownHandle, message)
}

/// Objects of one sort.
pub struct Table<T> {
    what: &'static str,
    entries: Mutex<BTreeMap<u64, Arc<T>>>,
}

impl<T> Table<T> {
    pub const fn new(what: &'static str) -> Self {
        Self { what, entries: Mutex::new(BTreeMap::new()) }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<T>>> {
        // It is whole after each of its operations, whatever happens beside them.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn insert(&self, object: T) -> u64 {
        let number = new_number();
        self.put_back(number, object);
        number
    }

    /// Under a number that it had before.
    pub fn put_back(&self, number: u64, object: T) {
        self.entries().insert(number, Arc::new(object));
    }

    pub fn get(&self, number: u64) -> Result<Arc<T>, Failure> {
        self.entries().get(&number).cloned().ok_or_else(|| unknown(self.what, number))
    }

    /// The object is found no more; others may still hold it.
    pub fn remove(&self, number: u64) -> Result<Arc<T>, Failure> {
        self.entries().remove(&number).ok_or_else(|| unknown(self.what, number))
    }

    /// As [`Self::remove`], if nobody else holds it; `fits` is asked last.
    pub fn remove_alone(&self, number: u64, fits: impl FnOnce(&T) -> bool) -> Result<T, Failure> {
        let mut entries = self.entries();
        let object = entries.remove(&number).ok_or_else(|| unknown(self.what, number))?;
        let mut in_use = |object| {
            entries.insert(number, object);
            let message = format!("the {} is in use and stays open", self.what);
            Failure::new(AceCudaStatus::InUse, message)
        };
        match Arc::try_unwrap(object) {
            Ok(object) if fits(&object) => Ok(object),
            Ok(object) => Err(in_use(Arc::new(object))),
            Err(object) => Err(in_use(object)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static THINGS: Table<u8> = Table::new("thing");

    #[test]
    fn a_number_is_good_until_it_is_given_back_and_never_again() {
        let first = THINGS.insert(1);
        assert_eq!(THINGS.get(first).map(|thing| *thing).ok(), Some(1));
        assert!(THINGS.remove(first).is_ok());
        let second = THINGS.insert(2);
        assert_ne!(first, second);
        for stale in [0, first, second + 1, u64::MAX] {
            let failure = THINGS.get(stale).map(drop).err().map(|failure| failure.status);
            assert_eq!(failure, Some(AceCudaStatus::UnknownHandle), "{stale}");
        }
    }

    #[test]
    fn what_somebody_holds_is_not_removed_alone() {
        let number = THINGS.insert(3);
        let held = THINGS.get(number).ok();
        let status =
            |fits: bool| THINGS.remove_alone(number, |_| fits).map_err(|failure| failure.status);
        assert_eq!(status(true), Err(AceCudaStatus::InUse));
        drop(held);
        assert_eq!(status(false), Err(AceCudaStatus::InUse));
        assert_eq!(status(true), Ok(3));
        assert_eq!(status(true), Err(AceCudaStatus::UnknownHandle));
    }
}
