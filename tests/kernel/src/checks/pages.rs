//! A heap over the kernel's own pages: what a load needed and then freed is given back to the provider by turns of ACE in
//! idle loops. Pages are counted by what they hold, not by what anybody says.

use super::pattern::Filled;
use crate::{boot::CPUS, cpu, heap::Caller, lock::NotedLock, say, storage::Storage, work};
use ace_alloc::{CoreHeap, OutOfPages, PageProvider, Purged, Region, geometry::Small};
use alloc::vec::Vec;
use core::{ptr::NonNull, slice};

const PAGE: usize = 4096;
const BYTES: usize = 12 << 20;
/// What every CPU uses for a while, in blocks of these sizes.
const SIZES: [usize; 5] = [40, 100, 1000, 3000, 20_000];
const BYTES_OF_EACH: usize = 800 << 10;
/// Pages that may stay: tables and heap records, and less free memory than is worth a call.
const STAYS: usize = (3 << 20) / 2 / PAGE;

/// Pages that are zero until they are written to, and again when they were purged: where there is a page table, those
/// have no memory.
struct Pages(Storage<BYTES>);

// SAFETY: one heap takes the memory, which is nobody else's, and zero to begin with.
unsafe impl PageProvider for Pages {
    const PAGE: usize = PAGE;

    fn reserve(&self, _: usize, _: usize) -> Result<Region, OutOfPages> {
        Err(OutOfPages)
    }

    fn fixed(&self) -> Option<Region> {
        let start = self.0.start();
        let skipped = start.addr().wrapping_neg() % PAGE;
        let start = NonNull::new(start.wrapping_add(skipped))?;
        Some(Region { start, bytes: (BYTES - skipped) / PAGE * PAGE })
    }

    unsafe fn commit(&self, _: Region) -> Result<(), OutOfPages> {
        Ok(())
    }

    unsafe fn purge(&self, range: Region) -> Purged {
        // SAFETY: nobody needs the content.
        unsafe { range.start.write_bytes(0, range.bytes) };
        Purged::Zeroed
    }

    unsafe fn release(&self, _: Region) {}
}

impl Pages {
    /// Pages that are not zero. For a moment at which no CPU changes any.
    fn held(&self) -> usize {
        let Some(all) = self.fixed() else { return 0 };
        // SAFETY: the provider's memory, aligned to pages.
        let words =
            unsafe { slice::from_raw_parts(all.start.as_ptr().cast::<u64>(), all.bytes / 8) };
        words.chunks(PAGE / 8).filter(|page| page.iter().any(|word| *word != 0)).count()
    }
}

static HEAP: CoreHeap<Caller, CPUS, Small, NotedLock, Pages> =
    CoreHeap::over(Pages(Storage::new()), |_, _| false);

/// See the module's documentation.
pub fn check() {
    work::on_all(|_| {
        let blocks = |bytes| {
            (0..BYTES_OF_EACH / bytes).map_while(move |_| Filled::new_in(&HEAP, bytes, 0xA5))
        };
        let blocks: Vec<Filled> = SIZES.into_iter().flat_map(blocks).collect();
        work::meet();
        if cpu::this().number() == 0 {
            say!("   {} pages are held at the height of the load", HEAP.pages().held());
        }
        work::meet();
        drop(blocks);
    });
    let (freed, began) = (HEAP.pages().held(), cpu::now_ms());
    // No bound in time: who boots the kernel ends one that waits for ever.
    while HEAP.pages().held() > STAYS {
        work::on_all(|_| work::idle_for(&HEAP));
    }
    let (left, ms) = (HEAP.pages().held(), cpu::now_ms() - began);
    say!("   {freed} when all is free, {left} after {ms} ms of idling");
    assert!(left < freed, "turns gave pages back");
}
