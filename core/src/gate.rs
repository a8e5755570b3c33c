//! The gatekeeper: what a pointer that a caller hands in is, decided in one place. Floor: 3rd.
//!
//! HOT has answered the common case; here comes everything else: blocks of other threads, large and
//! huge ones, null, and pointers that are not ours at all.

use crate::{
    arena::{Arena, CHECKED, Entry},
    geometry::{Geometry, Placement, shape_of},
    platform::{Misuse, MisuseKind, Platform},
    pool::Shared,
    protocol::tier::TierWord,
    size_class::SizeClass,
    slab::Slab,
    tiny::{self, Local, begin, remote},
};
use core::ptr::NonNull;

/// What an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a slab of this class.
    Slab(SizeClass),
    /// The first byte of the large block that begins at this unit.
    Large(u32),
    /// Inside a large block.
    LargeInside,
    /// In the heap's range, where there is no block.
    Nothing,
    /// Outside the range: a huge block, or foreign.
    Outside,
}

/// Decides what an address is. Never touches the memory at the address.
pub fn place<P: Platform>(shared: &Shared<P>, address: usize) -> Place {
    let Some(arena) = shared.arena() else { return Place::Outside };
    let unit = arena.unit_of(address);
    if unit >= shared.committed() {
        return if unit < arena.units() { Place::Nothing } else { Place::Outside };
    }
    match arena.route(unit) {
        Entry::NONE => Place::Nothing,
        Entry::LARGE_HEAD if arena.unit_start(unit).addr().get() == address => Place::Large(unit),
        Entry::LARGE_HEAD | Entry::LARGE_BODY => Place::LargeInside,
        entry => Place::Slab(entry.class()),
    }
}

fn report<P: Platform>(kind: MisuseKind, address: usize) {
    P::misuse(Misuse { kind, address, block_bytes: 0, owner: 0 });
}

/// Frees what HOT would not.
pub fn free<P: Platform>(shared: &Shared<P>, block: *mut u8) {
    if P::Geometry::PREFIX == Placement::Table && remote::send_home(shared, block) {
        return;
    }
    let Some(start) = NonNull::new(block) else { return };
    let address = block.addr();
    match place(shared, address) {
        Place::Slab(class) => {
            if let Some(local) = Local::current(shared) {
                local.refresh();
            }
            if P::Geometry::PREFIX == Placement::SlabTail && !tail_is_sound(shared, address, class)
            {
                return report::<P>(MisuseKind::Corrupt, address);
            }
            remote::free_slab_block(shared, block);
        }
        Place::Large(unit) => free_large(shared, start, unit),
        Place::LargeInside => report::<P>(MisuseKind::Interior, address),
        Place::Nothing => report::<P>(MisuseKind::NeverAllocated, address),
        Place::Outside => {
            if !Shared::<P>::may_wait() {
                // SAFETY: the caller of `free` gives up a block, which is memory; that it is one of
                // ours is seen when it is taken back.
                return unsafe { shared.leave(start.as_ptr()) };
            }
            if !shared.free_huge(start) {
                report::<P>(MisuseKind::Foreign, address);
            }
        }
    }
}

/// Frees a block without the lock, and without the caller's front, which may be in use: leaves it
/// to somebody else.
#[cold]
pub fn leave<P: Platform>(shared: &Shared<P>, start: NonNull<u8>) {
    match place(shared, start.addr().get()) {
        Place::Slab(_) => remote::leave_slab_block(shared, start.as_ptr()),
        // SAFETY: a block is memory, and the caller gives it up; that there is one is seen when it
        // is taken back.
        Place::Large(_) | Place::Outside => unsafe { shared.leave(start.as_ptr()) },
        Place::LargeInside => report::<P>(MisuseKind::Interior, start.addr().get()),
        Place::Nothing => report::<P>(MisuseKind::NeverAllocated, start.addr().get()),
    }
}

/// Does what callers who may not wait had to leave to others. For callers who may, and hold nothing
/// of the heap.
#[cold]
#[inline(never)]
pub fn help<P: Platform>(shared: &Shared<P>) {
    begin::make_for_handler(shared);
    clear_left(shared);
}

/// Frees what was left, and ends at what can't have been freed, which is reported: its link
/// is not to be trusted.
fn clear_left<P: Platform>(shared: &Shared<P>) {
    let mut next = shared.take_left();
    while let Some(block) = next {
        // SAFETY: it was taken, and is freed only below.
        next = unsafe { Shared::<P>::left_before(block) };
        let is_live = match place(shared, block.addr().get()) {
            Place::Slab(class) => shared.arena().is_some_and(|arena| {
                let (slab, address) =
                    (Slab::of(arena, block.addr().get(), class), block.addr().get());
                slab.is_out(address) && (!CHECKED || arena.is_live(address))
            }),
            Place::Large(_) => true,
            Place::Outside => shared.huge_bytes(block.addr().get()).is_some(),
            Place::LargeInside | Place::Nothing => false,
        };
        // Reports what is not live.
        free(shared, block.as_ptr());
        if !is_live {
            return;
        }
    }
}

fn free_large<P: Platform>(shared: &Shared<P>, start: NonNull<u8>, unit: u32) {
    if !Shared::<P>::may_wait() {
        // SAFETY: a large block is memory, and the caller gives it up.
        return unsafe { shared.leave(start.as_ptr()) };
    }
    if let Some(mut pool) = shared.lock() {
        // Two threads may free the same block: only one finds it still there.
        if pool.arena.route(unit) == Entry::LARGE_HEAD {
            return pool.free_large(unit);
        }
    }
    report::<P>(MisuseKind::DoubleFree, start.addr().get());
}

/// Whether the prefix in the tail of a slab agrees with the route table. The slab's superslab is
/// pinned while we look, since a stray pointer's slab may be released under our eyes.
fn tail_is_sound<P: Platform>(shared: &Shared<P>, address: usize, class: SizeClass) -> bool {
    let Some(arena) = shared.arena() else { return true };
    let unit = arena.unit_of(address);
    let Some(_guard) = tier_of(arena, unit).pin() else { return true };
    let entry = arena.route(unit);
    if entry.class() != class || entry.owner() < Entry::POOL || entry.owner() == Entry::LARGE {
        return true;
    }
    let head = arena.slab_head(unit, shape_of::<P::Geometry>(class).units);
    let prefix = Slab::at(arena, head, class).prefix;
    if prefix.is_sealed(head) {
        return true;
    }
    // The slab may be changing hands this moment. That happens under the lock.
    let Some(_pool) = shared.lock() else { return true };
    arena.route(unit) != entry || prefix.is_sealed(head)
}

/// Tier word of the superslab that a unit belongs to.
pub fn tier_of<G: Geometry>(arena: &Arena<G>, unit: u32) -> &TierWord {
    &arena.superslab(unit / G::SUPERSLAB_UNITS).tier
}

/// Bytes that the caller may use at this block; 0 for null.
pub fn usable_size<P: Platform>(shared: &Shared<P>, block: *mut u8) -> usize {
    if block.is_null() {
        return 0;
    }
    let address = block.addr();
    let misused = |kind| {
        report::<P>(kind, address);
        0
    };
    match place(shared, address) {
        Place::Slab(class) => {
            let Some(arena) = shared.arena() else { return 0 };
            let slab = Slab::of(arena, address, class);
            if slab.is_start(address) { class.bytes() } else { misused(MisuseKind::Interior) }
        }
        Place::Large(unit) => {
            if !Shared::<P>::may_wait()
                && let Some(arena) = shared.arena()
            {
                // The caller has the block, so nobody writes its record.
                return arena.span(unit).large_bytes();
            }
            let bytes = shared.lock().and_then(|pool| {
                let is_head = pool.arena.route(unit) == Entry::LARGE_HEAD;
                is_head.then(|| pool.arena.span(unit).large_bytes())
            });
            bytes.unwrap_or_else(|| misused(MisuseKind::NeverAllocated))
        }
        Place::LargeInside => misused(MisuseKind::Interior),
        Place::Nothing => misused(MisuseKind::NeverAllocated),
        // Its length stands behind the lock.
        Place::Outside if !Shared::<P>::may_wait() => 0,
        Place::Outside => {
            shared.huge_bytes(address).unwrap_or_else(|| misused(MisuseKind::Foreign))
        }
    }
}

/// A block of a class for a caller whose magazine was empty; null if out of pages.
pub fn refill<P: Platform>(shared: &Shared<P>, class: SizeClass) -> *mut u8 {
    use crate::dials::Route;
    let route = shared.dials.route(class);
    if route != Route::PoolOnly
        && let Some(local) = Local::attach(shared)
        && local.refill(class)
    {
        return tiny::hot::pop(tiny::front(shared), class);
    }
    if route == Route::TinyOnly {
        return core::ptr::null_mut();
    }
    let block = shared.lock().and_then(|mut pool| pool.alloc_block(class));
    block.unwrap_or(core::ptr::null_mut())
}

/// A block of a larger class, of which there is a slab with room: where there is no memory for
/// another slab, a block that is larger than need be is better than none. Aligned as any block of
/// the class would be. A slab of a larger class has as many units or more, so none is carved where
/// none could be for `class`.
#[cold]
#[inline(never)]
pub fn refill_larger<P: Platform>(shared: &Shared<P>, class: SizeClass) -> *mut u8 {
    let fits = |other: &SizeClass| {
        (class.bytes() + 1..=P::Geometry::CLASS_MAX).contains(&other.bytes())
            && other.bytes().trailing_zeros() >= class.bytes().trailing_zeros()
    };
    let mut classes = SizeClass::all().filter(fits);
    let found = match Local::current(shared) {
        Some(local) => local.find_room(classes),
        None => shared.lock().and_then(|pool| classes.find(|&other| pool.has_slab(other))),
    };
    found.map_or(core::ptr::null_mut(), |other| refill(shared, other))
}
