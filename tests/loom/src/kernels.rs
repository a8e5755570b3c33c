//! What models need of a protocol. The production text and every mutant of it get the same face, so that
//! a model is written once.

pub use ace_alloc::protocol::inbox::{FIRST_ITEM, NO_ITEM};
use ace_alloc::sync::{AtomicU32, RelaxedU32};
use loom::sync::{Condvar, Mutex};

/// Where a model keeps its links.
pub trait Chain {
    fn link(&self, item: usize, next: usize);
}

pub trait Inbox: Send + Sync + 'static {
    fn closed() -> Self;
    fn open(&self);
    fn send(&self, item: usize, chain: &impl Chain) -> bool;
    fn drain(&self) -> usize;
    fn close(&self) -> usize;
}

pub trait Lock: Send + Sync + 'static {
    /// A lock whose word reads so: 0, or what the word of another lock read when the process forked.
    fn with_word(word: u32) -> Self;
    fn word(&self) -> u32;
    fn lock(&self);
    fn unlock(&self);
}

pub trait Tier: Send + Sync + 'static {
    type Guard<'a>;
    fn free() -> Self;
    fn is_free(&self) -> bool;
    fn serve(&self);
    fn drain(&self);
    fn try_release(&self) -> bool;
    fn pin(&self) -> Option<Self::Guard<'_>>;
}

pub trait Live: 'static {
    fn grant(word: &RelaxedU32, bit: u32);
    fn retire(word: &RelaxedU32, bit: u32) -> bool;
}

pub trait Hatch: Send + Sync + 'static {
    fn new() -> Self;
    fn offer(&self, put: impl FnOnce() -> bool);
    fn poll<T>(&self, take: impl FnOnce() -> Option<T>) -> Option<T>;
    fn take_dropped(&self) -> u32;
}

pub trait Pair: Send + Sync + 'static {
    fn new(first: u32, second: u32) -> Self;
    fn get(&self) -> (u32, u32);
    fn set(&self, first: u32, second: u32);
}

pub trait Turnstile: Send + Sync + 'static {
    fn free() -> Self;
    fn try_enter(&self) -> bool;
    fn leave(&self);
}

/// One version of all protocols.
pub trait Kernels: 'static {
    type Inbox: Inbox;
    type Lock: Lock;
    type Tier: Tier;
    type Live: Live;
    type Hatch: Hatch;
    type Pair: Pair;
    type Turnstile: Turnstile;
}

/// The text that the product runs.
pub struct Production;

impl Kernels for Production {
    type Inbox = ace_alloc::protocol::inbox::Inbox;
    type Lock = production::Lock;
    type Tier = ace_alloc::protocol::tier::TierWord;
    type Live = production::Live;
    type Hatch = ace_alloc::protocol::hatch::Hatch;
    type Pair = ace_alloc::protocol::pair::Pair;
    type Turnstile = ace_alloc::protocol::turnstile::Turnstile;
}

mod production {
    use super::face;
    use ace_alloc::protocol::{hatch, inbox, live, pair, parking, tier, turnstile};
    face!(inbox, inbox);
    face!(tier, tier);
    face!(live, live);
    face!(parking, parking);
    face!(hatch, hatch);
    face!(pair, pair);
    face!(turnstile, turnstile);
}

/// The futex system call: looking at the word and falling asleep is one step as to a wake, because both
/// hold the queue's lock.
pub struct Futex {
    queue: Mutex<()>,
    woken: Condvar,
}

impl Futex {
    pub fn new() -> Self {
        Self { queue: Mutex::new(()), woken: Condvar::new() }
    }

    pub fn sleep_while(&self, word: &AtomicU32, value: u32) {
        let queue = self.queue.lock().expect("no thread panicked");
        if word.load(ace_alloc::sync::Ordering::Relaxed) == value {
            drop(self.woken.wait(queue));
        }
    }

    pub fn wake_one(&self) {
        let _queue = self.queue.lock().expect("no thread panicked");
        self.woken.notify_one();
    }
}

/// Gives the protocol module `$module` its face.
macro_rules! face {
    (inbox, $module:ident) => {
        struct Linked<'a, C>(&'a C);

        impl<C: $crate::kernels::Chain> $module::Links for Linked<'_, C> {
            fn set_next(&self, item: usize, next: usize) {
                self.0.link(item, next);
            }
        }

        impl $crate::kernels::Inbox for $module::Inbox {
            fn closed() -> Self {
                $module::Inbox::closed()
            }
            fn open(&self) {
                $module::Inbox::open(self);
            }
            fn send(&self, item: usize, chain: &impl $crate::kernels::Chain) -> bool {
                $module::Inbox::send(self, item, &Linked(chain))
            }
            fn drain(&self) -> usize {
                $module::Inbox::drain(self)
            }
            fn close(&self) -> usize {
                $module::Inbox::close(self)
            }
        }
    };
    (tier, $module:ident) => {
        impl $crate::kernels::Tier for $module::TierWord {
            type Guard<'a> = $module::ReleaseGuard<'a>;
            fn free() -> Self {
                $module::TierWord::free()
            }
            fn is_free(&self) -> bool {
                self.get() == $module::Tier::Free
            }
            fn serve(&self) {
                self.set($module::Tier::Live);
            }
            fn drain(&self) {
                self.set($module::Tier::Draining);
            }
            fn try_release(&self) -> bool {
                $module::TierWord::try_release(self)
            }
            fn pin(&self) -> Option<Self::Guard<'_>> {
                $module::TierWord::pin(self)
            }
        }
    };
    (live, $module:ident) => {
        pub struct Live;

        impl $crate::kernels::Live for Live {
            fn grant(word: &ace_alloc::sync::RelaxedU32, bit: u32) {
                $module::grant(word, bit);
            }
            fn retire(word: &ace_alloc::sync::RelaxedU32, bit: u32) -> bool {
                $module::retire(word, bit)
            }
        }
    };
    (hatch, $module:ident) => {
        impl $crate::kernels::Hatch for $module::Hatch {
            fn new() -> Self {
                let zero = || ace_alloc::sync::AtomicU32::new(0);
                let door = ace_alloc::protocol::turnstile::Turnstile::of(zero());
                $module::Hatch::of(door, zero())
            }
            fn offer(&self, put: impl FnOnce() -> bool) {
                $module::Hatch::offer(self, put);
            }
            fn poll<T>(&self, take: impl FnOnce() -> Option<T>) -> Option<T> {
                $module::Hatch::poll(self, take)
            }
            fn take_dropped(&self) -> u32 {
                $module::Hatch::take_dropped(self)
            }
        }
    };
    (pair, $module:ident) => {
        impl $crate::kernels::Pair for $module::Pair {
            fn new(first: u32, second: u32) -> Self {
                let word = $module::Pair::join(first, second);
                $module::Pair::of(ace_alloc::sync::RelaxedU32::new(word))
            }
            fn get(&self) -> (u32, u32) {
                $module::Pair::get(self)
            }
            fn set(&self, first: u32, second: u32) {
                $module::Pair::set(self, first, second);
            }
        }
    };
    (turnstile, $module:ident) => {
        impl $crate::kernels::Turnstile for $module::Turnstile {
            fn free() -> Self {
                $module::Turnstile::of(ace_alloc::sync::AtomicU32::new(0))
            }
            fn try_enter(&self) -> bool {
                $module::Turnstile::try_enter(self)
            }
            fn leave(&self) {
                $module::Turnstile::leave(self);
            }
        }
    };
    (parking, $module:ident) => {
        pub struct Lock {
            word: ace_alloc::sync::AtomicU32,
            futex: $crate::kernels::Futex,
        }

        impl $module::Parking for Lock {
            const SPINS: u32 = 1;
            fn word(&self) -> &ace_alloc::sync::AtomicU32 {
                &self.word
            }
            fn sleep_while(&self, value: u32) {
                self.futex.sleep_while(&self.word, value);
            }
            fn wake_one(&self) {
                self.futex.wake_one();
            }
        }

        impl $crate::kernels::Lock for Lock {
            fn with_word(word: u32) -> Self {
                let word = ace_alloc::sync::AtomicU32::new(word);
                Self { word, futex: $crate::kernels::Futex::new() }
            }
            fn word(&self) -> u32 {
                self.word.load(ace_alloc::sync::Ordering::Relaxed)
            }
            fn lock(&self) {
                $module::lock(self);
            }
            fn unlock(&self) {
                $module::unlock(self);
            }
        }
    };
}
pub(crate) use face;

/// `Version`: the production text with the changed copy in place of one protocol.
macro_rules! version {
    (@part Inbox inbox $changed:ident) => {
        $changed::Inbox
    };
    (@part Lock parking $changed:ident) => {
        Lock
    };
    (@part Tier tier $changed:ident) => {
        $changed::TierWord
    };
    (@part Live live $changed:ident) => {
        Live
    };
    (@part Hatch hatch $changed:ident) => {
        $changed::Hatch
    };
    (@part Pair pair $changed:ident) => {
        $changed::Pair
    };
    (@part Turnstile turnstile $changed:ident) => {
        $changed::Turnstile
    };
    (@part $part:ident $kind:ident $changed:ident) => {
        <$crate::kernels::Production as $crate::kernels::Kernels>::$part
    };
    ($kind:ident, $changed:ident) => {
        pub struct Version;

        impl $crate::kernels::Kernels for Version {
            type Inbox = $crate::kernels::version!(@part Inbox $kind $changed);
            type Lock = $crate::kernels::version!(@part Lock $kind $changed);
            type Tier = $crate::kernels::version!(@part Tier $kind $changed);
            type Live = $crate::kernels::version!(@part Live $kind $changed);
            type Hatch = $crate::kernels::version!(@part Hatch $kind $changed);
            type Pair = $crate::kernels::version!(@part Pair $kind $changed);
            type Turnstile = $crate::kernels::version!(@part Turnstile $kind $changed);
        }
    };
}
pub(crate) use version;
