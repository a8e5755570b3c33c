//! Owns the replay of a trace against a heap: one loop, and watchers that time, check or count in it.

use crate::heap::{self, Heap};
use crate::trace::{Step, Trace, Way};
use std::alloc::Layout;
use std::marker::PhantomData;
use std::ptr;

/// The calls that a replay makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Of alloc.
    Alloc,
    /// Of free.
    Free,
    /// Of realloc.
    Realloc,
}

/// Who stands beside a replay. The defaults are those of a program that uses its blocks a little.
pub trait Watcher {
    /// Around each call of the heap.
    #[inline(always)]
    fn call<R>(&mut self, _: Call, call: impl FnOnce() -> R) -> R {
        call()
    }

    /// A block came.
    ///
    /// # Safety
    /// 1. It is live and has this layout.
    #[inline(always)]
    unsafe fn taken(&mut self, slot: u32, block: *mut u8, _: Layout) {
        // SAFETY: (1), and no request is smaller than a word or aligned to less.
        unsafe { block.cast::<u64>().write(u64::from(slot)) };
    }

    /// A block goes.
    ///
    /// # Safety
    /// 1. It is live, has this layout, and `taken` was told of it.
    #[inline(always)]
    unsafe fn given(&mut self, _: u32, block: *mut u8, _: Layout) {
        // SAFETY: (1) => `taken` wrote this word.
        std::hint::black_box(unsafe { block.cast::<u64>().read() });
    }

    /// A block grew from `old` bytes, and what was in it came along.
    ///
    /// # Safety
    /// 1. As in `taken`, and its first `old` bytes are what it held before.
    #[inline(always)]
    unsafe fn grown(&mut self, slot: u32, block: *mut u8, layout: Layout, _old: usize) {
        // SAFETY: (1).
        unsafe { self.taken(slot, block, layout) };
    }
}

/// A program that uses its blocks a little.
pub struct Plain;

impl Watcher for Plain {}

/// A slot: the block and the step that asked for it.
#[derive(Clone, Copy)]
struct Slot {
    block: *mut u8,
    step: Step,
}

/// A heap in the middle of a trace.
pub struct Replay<H> {
    slots: Vec<Slot>,
    way: Way,
    /// Requests so far.
    pub asked: u64,
    /// Requests that the heap refused.
    pub failed: u64,
    heap: PhantomData<H>,
}

impl<H: Heap> Replay<H> {
    /// At the beginning of a trace.
    pub fn new(trace: &Trace) -> Self {
        let empty = Slot { block: ptr::null_mut(), step: Step::NONE };
        let slots = vec![empty; trace.slots];
        Self { slots, way: trace.way, asked: 0, failed: 0, heap: PhantomData }
    }

    /// Goes on with these steps.
    pub fn go<W: Watcher>(&mut self, steps: &[Step], watcher: &mut W) {
        match self.way {
            Way::Replace => self.replace(steps, watcher),
            Way::Resize => self.resize(steps, watcher),
        }
    }

    #[inline(never)]
    fn replace<W: Watcher>(&mut self, steps: &[Step], watcher: &mut W) {
        for &step in steps {
            self.give(step.slot, watcher);
            self.take(step, watcher);
        }
    }

    #[inline(never)]
    fn resize<W: Watcher>(&mut self, steps: &[Step], watcher: &mut W) {
        for &step in steps {
            let slot = self.slots[step.slot as usize];
            match (slot.step.layout(), step.layout()) {
                (Some(old), Some(new)) if !slot.block.is_null() && new.size() > old.size() => {
                    self.asked += 1;
                    // SAFETY: the slot's block is live and was asked for with `old`.
                    let block = watcher.call(Call::Realloc, || unsafe {
                        heap::realloc::<H>(slot.block, old, new.size())
                    });
                    if block.is_null() {
                        // The vector that can't grow is dropped, as a program would that gives up.
                        self.failed += 1;
                        self.give(step.slot, watcher);
                    } else {
                        self.slots[step.slot as usize] = Slot { block, step };
                        // SAFETY: realloc's contract.
                        unsafe { watcher.grown(step.slot, block, new, old.size()) };
                    }
                }
                _ => {
                    self.give(step.slot, watcher);
                    self.take(step, watcher);
                }
            }
        }
    }

    /// Frees the slot's block, if there is one.
    #[inline(always)]
    fn give<W: Watcher>(&mut self, slot: u32, watcher: &mut W) {
        let Slot { block, step } = self.slots[slot as usize];
        if let Some(layout) = step.layout()
            && !block.is_null()
        {
            // SAFETY: the slot's block is live and was asked for with this layout.
            unsafe { watcher.given(slot, block, layout) };
            // SAFETY: as above, and the slot forgets it below.
            watcher.call(Call::Free, || unsafe { heap::free::<H>(block, layout) });
        }
        self.slots[slot as usize] = Slot { block: ptr::null_mut(), step: Step::NONE };
    }

    /// Fills the slot, if the step asks for it. The slot is empty.
    #[inline(always)]
    fn take<W: Watcher>(&mut self, step: Step, watcher: &mut W) {
        if let Some(layout) = step.layout() {
            let block = watcher.call(Call::Alloc, || heap::alloc::<H>(layout));
            self.asked += 1;
            if block.is_null() {
                self.failed += 1;
            } else {
                // SAFETY: alloc's contract.
                unsafe { watcher.taken(step.slot, block, layout) };
            }
            self.slots[step.slot as usize] = Slot { block, step };
        }
    }

    /// Frees all that is left.
    pub fn finish<W: Watcher>(&mut self, watcher: &mut W) {
        for slot in 0..self.slots.len() {
            self.give(slot as u32, watcher);
        }
    }

    /// Bytes asked for of the blocks that are live.
    pub fn live_bytes(&self) -> usize {
        let live = self.slots.iter().filter(|slot| !slot.block.is_null());
        live.filter_map(|slot| slot.step.layout()).map(|layout| layout.size()).sum()
    }
}
