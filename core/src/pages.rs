//! Where pages come from: the trait that an operating system, a kernel or a static array
//! implements.
//! Floor: cellar. Verbs at this boundary: reserve, commit, purge, release; map and remap for huge
//! blocks.
//!
//! Three states of a page: *reserved* (address space only, must not be touched), *committed*
//! (readable and writable, zero when first committed unless the provider says otherwise), *purged*
//! (committed, content dropped).

use core::ptr::NonNull;

/// A run of whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First byte; aligned to [`PageProvider::PAGE`].
    pub start: NonNull<u8>,
    /// Length in bytes; a non-zero multiple of [`PageProvider::PAGE`].
    pub bytes: usize,
}

/// The provider has no more pages to give. Not an error of the program: the heap stays usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfPages;

/// What [`PageProvider::purge`] did to a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purged {
    /// The pages keep their content and their memory.
    Kept,
    /// The pages read as zero at the next touch and cost nothing until then.
    Zeroed,
}

/// A source of pages.
///
/// # Safety
/// Regions handed out are unique, aligned as asked, not touched by anybody else, and stay valid
/// until released. Committed memory is readable and writable, and zero on first commit if
/// [`PageProvider::ZEROED`]. No method allocates through the heap that it serves.
///
/// A provider that is not [`PageProvider::TOUCHABLE`] is held to this for what it is asked to
/// commit: the heap's tables. Its blocks are addresses only, with memory of whatever kind behind
/// them from [`PageProvider::populate`] to [`PageProvider::purge`].
pub unsafe trait PageProvider: Sync {
    /// Page size in bytes: the grain of commit and purge. A power of two.
    const PAGE: usize;
    /// Whether the CPU may read and write blocks. `false`: blocks are never committed but
    /// populated, and only an [`crate::AddressHeap`] takes the provider.
    const TOUCHABLE: bool = true;
    /// Whether memory reads as zero when it is first committed. `false`: it may hold anything, and
    /// the heap zeroes what it must, its tables and blocks of which that is asked, when it comes to
    /// them.
    const ZEROED: bool = true;

    /// Reserves `bytes` of address space, aligned to `align` (a power of two, at least `PAGE`).
    /// Called once for a heap; on failure the heap retries with less.
    ///
    /// # Errors
    /// [`OutOfPages`] if the address space is not to be had.
    fn reserve(&self, bytes: usize, align: usize) -> Result<Region, OutOfPages>;

    /// All the memory that there is, where that is one region of a fixed size: the heap then takes
    /// as much of it as it can use, and does not call [`PageProvider::reserve`]. Asked once for a
    /// heap; the start is a multiple of `PAGE`.
    fn fixed(&self) -> Option<Region> {
        None
    }

    /// Makes a part of a reserved region usable. Committing a page twice is harmless.
    ///
    /// # Errors
    /// [`OutOfPages`] if the system refuses; the range is then unchanged.
    ///
    /// # Safety
    /// `range` lies in a region that `reserve` returned.
    unsafe fn commit(&self, range: Region) -> Result<(), OutOfPages>;

    /// Drops the content of committed pages, so that the system can use the memory elsewhere.
    /// A refusal by the system is answered with [`Purged::Kept`], never with an abort.
    ///
    /// # Safety
    /// `range` is committed and nobody needs its content.
    unsafe fn purge(&self, range: Region) -> Purged;

    /// Sees that there is memory behind blocks that are about to be handed out. Parts of the range
    /// may have it already. Called under the heap's lock, and only if the provider is not
    /// [`PageProvider::TOUCHABLE`]; the range is in whole units of the geometry.
    ///
    /// # Errors
    /// [`OutOfPages`]; what had memory has it still.
    ///
    /// # Safety
    /// `range` lies in a region that `reserve` returned, and holds no block yet.
    unsafe fn populate(&self, range: Region) -> Result<(), OutOfPages> {
        let _ = range;
        Ok(())
    }

    /// Asks for huge pages behind a range that is used nearly all over; its content stays. Pages of
    /// it that had no memory may have some afterwards, and read as before. `false`: the provider
    /// has no such pages, and nothing is changed. Called under the heap's lock.
    ///
    /// # Safety
    /// `range` is committed.
    unsafe fn promote(&self, range: Region) -> bool {
        let _ = range;
        false
    }

    /// Takes the wish of [`PageProvider::promote`] back, so that memory that is then purged stays
    /// away. The content stays.
    ///
    /// # Safety
    /// `range` was promoted.
    unsafe fn demote(&self, range: Region) {
        let _ = range;
    }

    /// Maps a region of its own, committed and zero, for one huge block.
    ///
    /// # Errors
    /// [`OutOfPages`], also where a provider has no such regions at all (the default).
    fn map(&self, bytes: usize, align: usize) -> Result<Region, OutOfPages> {
        let _ = (bytes, align);
        Err(OutOfPages)
    }

    /// Grows or shrinks a mapped region, moving it if `may_move`; new bytes are zero.
    ///
    /// # Errors
    /// [`OutOfPages`] if the system can't; the region is then unchanged.
    ///
    /// # Safety
    /// `region` came from `map` or `remap` and is not used by its old address afterwards.
    unsafe fn remap(
        &self,
        region: Region,
        bytes: usize,
        may_move: bool,
    ) -> Result<Region, OutOfPages> {
        let _ = (region, bytes, may_move);
        Err(OutOfPages)
    }

    /// Gives a region back to the system: one that `map` returned, or the reservation as a whole.
    ///
    /// # Safety
    /// Nobody uses `region` any more.
    unsafe fn release(&self, region: Region);
}
