//! [`AddressHeap`]: the heap for memory that the CPU does not touch. Floor: roof.
//!
//! Blocks are addresses: of a device's memory, of a bus, of physical frames. What is known of them
//! lies in the tables beside the range, so the same slabs, superslabs, spans and hysteresis serve
//! them. No thread holds anything here: each call takes the pool's lock, and the bitmap alone tells
//! which blocks of a slab are in use. So a free is checked before it changes anything, and misuse
//! is an answer, not a report to the platform.

use super::audit::ledger_of;
use crate::{
    dials::Dials,
    gate::{self, Place},
    geometry::{Geometry, Placement},
    ledger::Ledger,
    platform::{MisuseKind, Platform},
    pool::Shared,
    size_class::SizeClass,
    slab::Slab,
    stats::BlockStats,
    sync::RelaxedU64,
};
use core::ptr::without_provenance_mut;

/// A block of an [`AddressHeap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where it starts.
    pub address: usize,
    /// How long it is, as [`AddressHeap::size_of`] tells.
    pub bytes: usize,
}

/// See the module's documentation. All methods may be called from any thread; none of them panics,
/// and none reads or writes a block.
///
/// Of the platform it uses geometry, pages, lock and clock; [`crate::NoThreads`] serves as its
/// threads. The geometry keeps prefixes in tables.
pub struct AddressHeap<P: Platform> {
    shared: Shared<P>,
    // Written under the pool's lock.
    blocks: RelaxedU64,
    bytes: RelaxedU64,
    peak_bytes: RelaxedU64,
}

impl<P: Platform> AddressHeap<P> {
    /// A heap that has reserved nothing yet; the first allocation does.
    pub const fn new(pages: P::Pages) -> Self {
        const { assert!(matches!(P::Geometry::PREFIX, Placement::Table), "nothing inside slabs") }
        Self {
            shared: Shared::new(pages),
            blocks: RelaxedU64::new(0),
            bytes: RelaxedU64::new(0),
            peak_bytes: RelaxedU64::new(0),
        }
    }

    /// The numbers that may change while the heap runs; of use here are those about memory that is
    /// kept.
    pub const fn dials(&self) -> &Dials {
        &self.shared.dials
    }

    /// The page provider.
    pub const fn pages(&self) -> &P::Pages {
        &self.shared.pages
    }

    /// A block of at least `bytes` bytes, aligned to `align`, a power of two, and to 16;
    /// `None` if out of memory. What the heap keeps is given up before it says so.
    pub fn alloc(&self, bytes: usize, align: usize) -> Option<Extent> {
        if bytes > isize::MAX as usize || align > isize::MAX as usize {
            return None;
        }
        self.try_alloc(bytes, align).or_else(|| {
            self.trim(0);
            self.try_alloc(bytes, align)
        })
    }

    fn try_alloc(&self, bytes: usize, align: usize) -> Option<Extent> {
        let mut pool = self.shared.lock()?;
        let extent = match SizeClass::aligned(bytes, align.max(16)) {
            Some(class) if class.bytes() <= P::Geometry::CLASS_MAX => {
                Extent { address: pool.take_block(class)?.addr(), bytes: class.bytes() }
            }
            _ => {
                let address = pool.alloc_large(bytes, align)?.start.addr().get();
                let head = pool.arena.unit_of(address);
                Extent { address, bytes: pool.arena.span(head).large_bytes() }
            }
        };
        self.blocks.add(1);
        self.bytes.add(extent.bytes as u64);
        self.peak_bytes.set(self.peak_bytes.get().max(self.bytes.get()));
        Some(extent)
    }

    /// Frees the block at this address. Returns its size in bytes, as [`Self::size_of`] told it.
    ///
    /// # Errors
    /// What is wrong with the address; nothing is changed then. Once the last block of a slab is
    /// freed, [`MisuseKind::NeverAllocated`] also stands for a double free.
    ///
    /// # Safety
    /// The caller gives the block up: its memory may be taken away at once.
    pub unsafe fn free(&self, address: usize) -> Result<usize, MisuseKind> {
        self.shared.arena().ok_or(MisuseKind::Foreign)?;
        let mut pool = self.shared.lock().ok_or(MisuseKind::Foreign)?;
        let bytes = match gate::place(&self.shared, address) {
            Place::Slab(class) => {
                pool.put_block(without_provenance_mut(address), class)?;
                class.bytes()
            }
            Place::Large(unit) => {
                let bytes = pool.arena.span(unit).large_bytes();
                pool.free_large(unit);
                bytes
            }
            other => return Err(fault(other)),
        };
        self.blocks.sub(1);
        self.bytes.sub(bytes as u64);
        Ok(bytes)
    }

    /// Bytes of the block at this address, as many as were asked for or more.
    ///
    /// # Errors
    /// What is wrong with the address, as for [`Self::free`].
    pub fn size_of(&self, address: usize) -> Result<usize, MisuseKind> {
        self.shared.arena().ok_or(MisuseKind::Foreign)?;
        let pool = self.shared.lock().ok_or(MisuseKind::Foreign)?;
        match gate::place(&self.shared, address) {
            Place::Slab(class) => {
                let slab = Slab::of(pool.arena, address, class);
                if slab.is_out(address) { Ok(class.bytes()) } else { Err(slab.fault(address)) }
            }
            Place::Large(unit) => Ok(pool.arena.span(unit).large_bytes()),
            other => Err(fault(other)),
        }
    }

    /// Gives free memory back to the provider until at most `keep_bytes` of it are left. Returns
    /// the bytes given back, in units of the geometry.
    pub fn trim(&self, keep_bytes: usize) -> usize {
        if self.shared.arena().is_none() {
            return 0;
        }
        let Some(mut pool) = self.shared.lock() else { return 0 };
        pool.cool();
        pool.purge_to(keep_bytes)
    }

    /// Blocks in use, and their bytes as [`Self::size_of`] tells.
    pub fn live(&self) -> BlockStats {
        BlockStats { blocks: self.blocks.get() as usize, bytes: self.bytes.get() as usize }
    }

    /// Most bytes that ever were in use.
    pub fn peak_bytes(&self) -> usize {
        self.peak_bytes.get() as usize
    }

    /// As [`crate::Heap::ledger`]; committed bytes are addresses in use or free, with memory behind
    /// them or not.
    pub fn ledger(&self) -> Ledger {
        let mut ledger = ledger_of(&self.shared);
        for class in &mut ledger.classes {
            class.live = class.used;
        }
        ledger
    }
}

fn fault(place: Place) -> MisuseKind {
    match place {
        Place::Outside => MisuseKind::Foreign,
        Place::LargeInside => MisuseKind::Interior,
        _ => MisuseKind::NeverAllocated,
    }
}
