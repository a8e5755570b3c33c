//! Owns the traces: what a program asks for, step by step, the same for every allocator.
//!
//! A trace is made from a seed before anything runs, without an allocator. It keeps its own account of
//! the bytes that are live, so that a heap which refuses a request does not change what comes after.

use crate::mix::Mix;
use ace_bench_peers::random::{Random, lower_below};
use std::alloc::Layout;

/// One step: the slot's block is freed, if there is one, and another put there, if one is asked for.
/// Packed, for millions of them are read while the clock runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which slot.
    pub slot: u32,
    /// Bytes in the lower 24 bits (0: none), log2 of the alignment above.
    request: u32,
}

/// What is done with the block that a slot has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is freed, and another one allocated.
    Replace,
    /// It is resized where the step's size is larger, else replaced: a vector that grows.
    Resize,
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Slots.
    pub slots: usize,
    /// What happens to blocks.
    pub way: Way,
    /// Steps that fill the heap for the first time.
    pub fill: usize,
    /// Steps before the ones that count: they fill the heap and stir it.
    pub warm_up: usize,
    /// All steps.
    pub steps: Vec<Step>,
}

impl Step {
    /// A step that leaves a block of this layout in the slot.
    fn take(slot: usize, layout: Layout) -> Self {
        let request = layout.size() as u32 | layout.align().ilog2() << 24;
        Self { slot: slot as u32, request }
    }

    /// No request.
    pub const NONE: Self = Self { slot: 0, request: 0 };

    /// A step that leaves the slot empty.
    fn give(slot: usize) -> Self {
        Self { slot: slot as u32, request: 0 }
    }

    /// What is asked for.
    #[inline(always)]
    pub fn layout(self) -> Option<Layout> {
        // SAFETY: `take` packed a layout; its alignment is a power of two, its size below 2^24.
        (self.request != 0).then(|| unsafe {
            Layout::from_size_align_unchecked(
                (self.request & 0xFF_FFFF) as usize,
                1 << (self.request >> 24),
            )
        })
    }
}

/// Of an arena, so many permille.
fn share(arena: usize, permille: usize) -> usize {
    arena / 1000 * permille + arena % 1000 * permille / 1000
}

impl Trace {
    /// Replaces a random block by one of another size, again and again, in a heap that is filled to
    /// `permille` of the arena (by the bytes asked for) and stays within 2 % of that.
    pub fn replace(mix: Mix, arena: usize, permille: usize, steps: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let target = share(arena, permille);
        let most = target + target / 50;
        let (mut sizes, mut live, mut all) = (Vec::new(), 0, Vec::new());
        while live < target {
            let layout = mix.draw(&mut random);
            if live + layout.size() > most {
                // A large block at the end: the next ones are smaller, for most are.
                continue;
            }
            all.push(Step::take(sizes.len(), layout));
            sizes.push(layout.size());
            live += layout.size();
        }
        let fill = all.len();
        let warm_up = fill + (4 * sizes.len()).max(20_000);
        while all.len() < warm_up + steps {
            let slot = lower_below(random.bits(), sizes.len());
            let layout = mix.draw(&mut random);
            let then = live - sizes[slot] + layout.size();
            if then <= most {
                all.push(Step::take(slot, layout));
                (sizes[slot], live) = (layout.size(), then);
            }
        }
        Self { slots: sizes.len(), way: Way::Replace, fill, warm_up, steps: all }
    }

    /// Fills the heap from nothing to `permille` and frees everything in random order, again and again:
    /// many allocations in a row.
    pub fn bursts(mix: Mix, arena: usize, permille: usize, steps: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let target = share(arena, permille);
        let (mut all, mut slots, mut fill, mut warm_up) = (Vec::new(), 0, 0, 0);
        while all.len() < warm_up + steps {
            let mut taken = Vec::new();
            let mut live = 0;
            while live < target {
                let layout = mix.draw(&mut random);
                all.push(Step::take(taken.len(), layout));
                taken.push(taken.len());
                live += layout.size();
            }
            slots = slots.max(taken.len());
            if fill == 0 {
                fill = all.len();
            }
            while !taken.is_empty() {
                let at = lower_below(random.bits(), taken.len());
                all.push(Step::give(taken.swap_remove(at)));
            }
            if warm_up == 0 {
                warm_up = all.len();
            }
        }
        Self { slots, way: Way::Replace, fill, warm_up, steps: all }
    }

    /// Vectors that grow: each step doubles a random slot's block, or starts it anew with 16 bytes when
    /// it has reached its last size (32 bytes to 4 KiB, each doubling as likely). As many vectors as
    /// fill `permille` of the arena on average.
    pub fn growth(arena: usize, permille: usize, steps: usize, seed: u64) -> Self {
        const FIRST: usize = 16;
        const DOUBLINGS: usize = 8;
        let mut random = Random::new(seed);
        // Mean size over a vector's life, and over the lasts: a life of n doublings has n + 1 steps.
        let (mut bytes, mut lives) = (0, 0);
        for last in 1..=DOUBLINGS {
            bytes += (0..=last).map(|doubling| FIRST << doubling).sum::<usize>();
            lives += last + 1;
        }
        let slots = (share(arena, permille) * lives / bytes).max(1);
        let last = |random: &mut Random| FIRST << (1 + lower_below(random.bits(), DOUBLINGS));
        let layout = |bytes| Layout::from_size_align(bytes, 8).expect("a small size");
        let mut vectors = Vec::from_iter((0..slots).map(|_| (0, last(&mut random))));
        let warm_up = 16 * slots;
        let mut all = Vec::with_capacity(warm_up + steps);
        while all.len() < warm_up + steps {
            let slot = lower_below(random.bits(), slots);
            let (bytes, end) = vectors[slot];
            vectors[slot] = match bytes {
                0 => (FIRST, end),
                bytes if bytes < end => (2 * bytes, end),
                _ => (FIRST, last(&mut random)),
            };
            all.push(Step::take(slot, layout(vectors[slot].0)));
        }
        Self { slots, way: Way::Resize, fill: slots, warm_up, steps: all }
    }

    /// By the words of the command line.
    pub fn named(
        name: &str,
        mix: &str,
        arena: usize,
        permille: usize,
        steps: usize,
        seed: u64,
    ) -> Result<Self, String> {
        match name {
            "replace" => Ok(Self::replace(Mix::parse(mix)?, arena, permille, steps, seed)),
            "bursts" => Ok(Self::bursts(Mix::parse(mix)?, arena, permille, steps, seed)),
            "growth" => Ok(Self::growth(arena, permille, steps, seed)),
            _ => Err(format!("no trace is called {name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn the_same_words_make_the_same_trace() {
        for name in ["replace", "bursts", "growth"] {
            let trace = |seed| Trace::named(name, "16..256", MIB, 500, 1000, seed);
            assert_eq!(trace(1), trace(1), "{name}");
            assert_ne!(trace(1), trace(2), "{name}: another seed");
        }
        assert!(Trace::named("walk", "16..256", MIB, 500, 1, 1).is_err());
    }

    #[test]
    fn a_heap_of_replacements_stays_as_full_as_it_was_asked_to_be() {
        let trace = Trace::replace(Mix::Even(16, 1024), MIB, 750, 10_000, 42);
        assert_eq!(trace.fill, trace.slots);
        let mut sizes = vec![0; trace.slots];
        let mut live = 0;
        for (at, step) in trace.steps.iter().enumerate() {
            let bytes = step.layout().map_or(0, |layout| layout.size());
            live += bytes;
            live -= std::mem::replace(&mut sizes[step.slot as usize], bytes);
            assert!(live <= MIB * 77 / 100, "step {at}: {live}");
            assert!(at < trace.fill || live >= MIB * 70 / 100, "step {at}: {live}");
        }
    }

    #[test]
    fn a_step_keeps_size_and_alignment() {
        let layout = Layout::from_size_align(16_383, 64).expect("a layout");
        assert_eq!(Step::take(7, layout).layout(), Some(layout));
        assert_eq!(Step::give(7).layout(), None);
    }

    #[test]
    fn vectors_double_until_they_start_anew() {
        let trace = Trace::growth(MIB, 500, 10_000, 42);
        let mut sizes = vec![0; trace.slots];
        for step in &trace.steps {
            let bytes = step.layout().map_or(0, |layout| layout.size());
            let old = std::mem::replace(&mut sizes[step.slot as usize], bytes);
            assert!(bytes == 16 || bytes == 2 * old, "{old} to {bytes}");
        }
    }
}
