//! The longest ways through a bounded heap, made on purpose: a heap is brought into a state in
//! which a call meets neighbours, bins and words of the map as it says there, that call is counted,
//! and the heap is thrown away. All combinations of what a call can meet, of sizes that take
//! different ways, and of regions before its own.

use crate::measure::{Deployed, Static, alloc, free, nothing, resize};
use ace_alloc::region::Scale;
use alloc::vec::Vec;
use core::{alloc::Layout, fmt, ptr::NonNull};

const GRANULE: usize = 8;
/// Bytes of each region that is full and before the one that a call ends in.
pub const FULL: usize = 16 << 10;
/// Keeps free blocks apart, in granules.
const FENCE: usize = 2;

/// The most instructions that a call took, and how many were counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Most {
    pub instructions: u32,
    pub calls: u32,
}

impl Most {
    fn see(&mut self, took: u32) {
        self.instructions = self.instructions.max(took - nothing());
        self.calls += 1;
    }
}

impl fmt::Display for Most {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"{{"calls":{},"max":{}}}"#, self.calls, self.instructions)
    }
}

/// Of each call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Longest {
    /// A block of a size that is cached, without alignment.
    pub small: Most,
    /// Any other.
    pub alloc: Most,
    /// No block.
    pub refusal: Most,
    /// A free that the caches have no room for.
    pub free: Most,
    /// A block grows or shrinks where it is, or can't.
    pub resize: Most,
}

/// A neighbour of a block, and its place in its bin if it is free.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Neighbour {
    Live,
    Alone,
    First,
    Middle,
    Last,
}

impl Neighbour {
    const ALL: [Self; 5] = [Self::Live, Self::Alone, Self::First, Self::Middle, Self::Last];

    fn is_free(self) -> bool {
        self != Self::Live
    }

    fn is_followed(self) -> bool {
        matches!(self, Self::First | Self::Middle)
    }

    fn is_preceded(self) -> bool {
        matches!(self, Self::Middle | Self::Last)
    }
}

/// Every combination of so many choices.
fn choices<const N: usize>(sides: [usize; N]) -> impl Iterator<Item = [usize; N]> {
    (0..sides.iter().product()).map(move |number: usize| {
        let mut left = number;
        sides.map(|side| (left % side, left /= side).0)
    })
}

fn layout(granules: usize, align: usize) -> Layout {
    Layout::from_size_align(granules * GRANULE, align * GRANULE).expect("a layout")
}

/// A block of a scene, and its granules.
type Block = (*mut u8, usize);

/// A heap in which what is free is what a scene has freed. Blocks are taken one behind the other,
/// all before the first is freed.
struct Scene<D: Deployed> {
    heap: Static<D>,
}

impl<D: Deployed> Scene<D> {
    /// One region with full caches, behind others that are full.
    fn new(place: Place) -> Self {
        let scene = Self { heap: Static::new() };
        for full in 0..place.before {
            scene.claim(place.memory.wrapping_add(full * FULL), FULL);
            scene.take_rest();
        }
        let claimed = scene.claim(place.memory.wrapping_add(place.before * FULL), place.bytes);
        scene.fill_caches(claimed / GRANULE);
        scene
    }

    /// With blocks of sizes that no request of a scene is of.
    fn fill_caches(&self, granules: usize) {
        let cached = <D::Scale as Scale>::CACHED;
        if cached == 0 {
            return;
        }
        let room = granules >> <D::Scale as Scale>::CACHE_SHIFT;
        let take =
            |count, granules| -> Vec<_> { (0..count).map(|_| self.take(granules)).collect() };
        let blocks = [take(room / (cached - 1), cached - 1), take(room % (cached - 1), 1)];
        blocks.into_iter().flatten().for_each(|block| _ = self.give(block));
    }

    fn claim(&self, start: *mut u8, bytes: usize) -> usize {
        // SAFETY: the heaps that had the memory are gone, and with them all blocks.
        unsafe { D::heap().claim(start, bytes) }.expect("memory enough")
    }

    fn take(&self, granules: usize) -> Block {
        let (start, _) = alloc(&self.heap, layout(granules, 1));
        assert!(!start.is_null(), "room for the scene");
        (start, granules)
    }

    /// A block that no block can join that is taken later.
    fn take_apart(&self, granules: usize) -> Block {
        let block = self.take(granules);
        self.take(FENCE);
        block
    }

    fn take_rest(&self) {
        let most = D::heap().lock().largest_free();
        self.take(most / GRANULE);
    }

    fn give(&self, (start, granules): Block) -> u32 {
        free(&self.heap, start, layout(granules, 1))
    }

    /// A live block between such neighbours of so many granules. The third size is one that is free
    /// elsewhere.
    fn between(
        &self,
        before: (Neighbour, usize),
        granules: usize,
        after: (Neighbour, usize),
        elsewhere: Option<usize>,
    ) -> Block {
        let sides = [before, after];
        let [below, above] = [(); 2].map(|()| sides.map(|(_, granules)| self.take_apart(granules)));
        let first = self.take(before.1);
        let block = self.take(granules);
        let last = self.take_apart(after.1);
        if let Some(other) = elsewhere.map(|granules| self.take_apart(granules)) {
            self.give(other);
        }
        for (number, neighbour) in [first, last].into_iter().enumerate() {
            let side = sides[number].0;
            let has = [
                (side.is_followed(), below[number]),
                (side.is_free(), neighbour),
                (side.is_preceded(), above[number]),
            ];
            has.iter().filter(|(is_free, _)| *is_free).for_each(|&(_, block)| _ = self.give(block));
        }
        block
    }
}

/// Where scenes play.
#[derive(Clone, Copy)]
pub struct Place {
    /// For [`FULL`] bytes for each full region, and those below.
    pub memory: *mut u8,
    /// Bytes of the region in which the calls end.
    pub bytes: usize,
    /// Full regions that are asked before.
    pub before: usize,
}

/// See the module's documentation.
pub fn longest<D: Deployed>(place: Place) -> Longest {
    let mut longest = Longest::default();
    frees::<D>(place, &mut longest);
    resizes::<D>(place, &mut longest);
    refusals::<D>(place, &mut longest);
    allocs::<D>(place, &mut longest);
    longest
}

fn frees<D: Deployed>(place: Place, longest: &mut Longest) {
    const BEFORE: [usize; 4] = [2, 5, 100, 600];
    const SIZES: [usize; 4] = [2, 7, 60, 400];
    const AFTER: [usize; 4] = [3, 6, 101, 700];
    for [before, after, first, size, last, shared] in choices([5, 5, 4, 4, 4, 2]) {
        let (before, after) = (Neighbour::ALL[before], Neighbour::ALL[after]);
        let (first, size, last) = (BEFORE[first], SIZES[size], AFTER[last]);
        let joined = size
            + if before.is_free() { first } else { 0 }
            + if after.is_free() { last } else { 0 };
        let scene = Scene::<D>::new(place);
        let elsewhere = (shared > 0).then_some(joined);
        let block = scene.between((before, first), size, (after, last), elsewhere);
        longest.free.see(scene.give(block));
    }
}

fn resizes<D: Deployed>(place: Place, longest: &mut Longest) {
    const SIZES: [usize; 4] = [5, 9, 60, 400];
    const AFTER: [usize; 4] = [3, 6, 101, 700];
    for [after, size, last, way, shared] in choices([5, 4, 4, 5, 2]) {
        let (after, size, last) = (Neighbour::ALL[after], SIZES[size], AFTER[last]);
        let free = if after.is_free() { last } else { 0 };
        let whole = size + free;
        let new = [size - 1, size - 2, whole, whole - 2, whole + 1][way];
        let rest = whole.saturating_sub(new);
        let scene = Scene::<D>::new(place);
        let elsewhere = (shared > 0 && rest > 1).then_some(rest);
        let (block, _) = scene.between((Neighbour::Live, 2), size, (after, last), elsewhere);
        let block = NonNull::new(block).expect("a block");
        let (_, took) = resize::<D>(block, layout(size, 1), new * GRANULE);
        longest.resize.see(took);
    }
}

const SIZES: [usize; 7] = [2, 5, 60, 100, 200, 300, 1000];
const ALIGNS: [usize; 5] = [1, 2, 4, 8, 512];

fn refusals<D: Deployed>(place: Place, longest: &mut Longest) {
    for [size, align, other] in choices([SIZES.len(), ALIGNS.len(), 2]) {
        let scene = Scene::<D>::new(place);
        let size = SIZES[size];
        let other = (other > 0 && size > 2).then(|| scene.take_apart(size - 1));
        scene.take_rest();
        other.map(|other| scene.give(other));
        let (block, took) = alloc(&scene.heap, layout(size, ALIGNS[align]));
        assert!(block.is_null());
        longest.refusal.see(took);
    }
}

fn allocs<D: Deployed>(place: Place, longest: &mut Longest) {
    for [size, align, gap, from, others] in choices([SIZES.len(), ALIGNS.len(), 4, 5, 16]) {
        let (size, align) = (SIZES[size], ALIGNS[align]);
        let gap = [0, 1, 2, align - 1][gap];
        if gap >= align {
            continue;
        }
        let spare = if align > 1 { align + 3 } else { 2 };
        let from = [size, size + 2, size + spare, (size + spare) * 5 / 4 + 2, far(place)][from];
        // Whether another of the size is free, one of what stays before, of what stays behind, and
        // one in the same bin that is too small.
        let [follows, before, behind, small] = [1, 2, 4, 8].map(|bit| others & bit > 0);
        let scene = Scene::<D>::new(place);
        let (end, fence) = scene.take(FENCE);
        let skip = (end.addr() / GRANULE + fence + gap).wrapping_neg() % align;
        if skip > 0 {
            scene.take(if skip == 1 { skip + align } else { skip });
        }
        let block = scene.take_apart(from);
        let gap = if gap == 1 { gap + align } else { gap };
        let rest = from.saturating_sub(size + gap);
        let take = |wanted: bool, size| (wanted && size > 1).then(|| scene.take_apart(size));
        let next = take(follows, from);
        let others = [take(before, gap), take(behind, rest), take(small, size - 1)];
        scene.take_rest();
        let free = [next, Some(block)].into_iter().chain(others).flatten();
        free.for_each(|block| _ = scene.give(block));
        let (block, took) = alloc(&scene.heap, layout(size, align));
        let small = align == 1 && size < <D::Scale as Scale>::CACHED;
        let most = match (block.is_null(), small) {
            (true, _) => &mut longest.refusal,
            (false, true) => &mut longest.small,
            (false, false) => &mut longest.alloc,
        };
        most.see(took);
    }
}

/// Granules of a block that hangs in one of the last bins, and of which there can be three.
fn far(place: Place) -> usize {
    place.bytes / GRANULE * 15 / 64
}
