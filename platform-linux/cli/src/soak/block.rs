//! A block of the soak: asked of the C API, filled with a pattern that nothing else has, and looked at
//! again. Floor: tool.
//!
//! The 8 bytes at offset `8 * i` are `stamp + i * STEP`, in the machine's byte order, cut at the block's
//! end. So each byte depends on its offset and on the block, and a block that lies where another one
//! lies breaks the pattern of one of them.

use std::ptr::{self, NonNull};

/// Blocks up to here are filled and checked in full; larger ones at both ends and in each page, or the
/// soak would test the memory bus.
const FULL_BYTES: usize = 64 << 10;
const PAGE: usize = 4096;
const END_BYTES: usize = 256;
const WORD: usize = 8;
/// Odd, with bits all over: neighbouring words differ in most bytes.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// See the module's documentation. Not freed when it is dropped: only what is handed back is checked.
#[derive(Debug)]
pub struct Block {
    start: NonNull<u8>,
    bytes: usize,
    stamp: u64,
}

// SAFETY: whoever holds a block owns its memory.
unsafe impl Send for Block {}

/// How a block is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    Malloc,
    /// And then all of `malloc_usable_size` is used.
    MallocUsable,
    Calloc,
    /// `posix_memalign` with this alignment.
    Aligned(usize),
}

/// What may be wrong, as a sentence.
pub type Promise<T> = Result<T, String>;

/// The least alignment of the C API.
const MIN_ALIGN: usize = 16;

impl Block {
    /// Asks for a block, checks what can be checked at once, and fills it.
    pub fn ask(call: Call, bytes: usize, stamp: u64) -> Promise<Self> {
        let mut align = MIN_ALIGN;
        // SAFETY: the calls have no preconditions; `start` is a valid place for the result.
        let start: *mut u8 = unsafe {
            match call {
                Call::Malloc | Call::MallocUsable => libc::malloc(bytes).cast(),
                Call::Calloc => libc::calloc(1, bytes).cast(),
                Call::Aligned(wanted) => {
                    align = wanted;
                    let mut start = ptr::null_mut();
                    libc::posix_memalign(&raw mut start, wanted, bytes);
                    start.cast()
                }
            }
        };
        let Some(start) = NonNull::new(start) else {
            return Err(format!("{call:?} found no memory for {bytes} bytes"));
        };
        if !start.addr().get().is_multiple_of(align) {
            return Err(format!("{call:?} of {bytes} bytes is not aligned to {align}: {start:p}"));
        }
        let mut block = Self { start, bytes, stamp };
        if matches!(call, Call::Calloc) {
            block.look(bytes, |_| 0).map_err(|what| format!("calloc gave {what}"))?;
        }
        block.bytes = block.usable(call)?;
        block.fill();
        Ok(block)
    }

    fn usable(&self, call: Call) -> Promise<usize> {
        if !matches!(call, Call::MallocUsable) {
            return Ok(self.bytes);
        }
        // SAFETY: a live block.
        let usable = unsafe { libc::malloc_usable_size(self.start.as_ptr().cast()) };
        match usable >= self.bytes {
            true => Ok(usable),
            false => Err(format!("{usable} usable bytes in a block of {}", self.bytes)),
        }
    }

    /// Bytes that hold the pattern.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the pattern is whole.
    pub fn check(&self, when: &str) -> Promise<()> {
        self.check_first(self.bytes).map_err(|what| format!("{when}: {what}"))
    }

    /// Checks the block and gives it back.
    pub fn free(self, when: &str) -> Promise<()> {
        self.check(when)?;
        // SAFETY: a live block, which is not used any more.
        unsafe { libc::free(self.start.as_ptr().cast()) };
        Ok(())
    }

    /// Lets the allocator resize the block, checks what it kept, and fills it anew.
    pub fn resize(&mut self, bytes: usize, stamp: u64) -> Promise<()> {
        // SAFETY: a live block; after success only the new address is used.
        let moved = unsafe { libc::realloc(self.start.as_ptr().cast(), bytes) };
        let Some(moved) = NonNull::new(moved.cast::<u8>()) else {
            return Err(format!("realloc found no memory for {bytes} bytes"));
        };
        let before = self.bytes;
        self.start = moved;
        self.check_first(before.min(bytes))
            .map_err(|what| format!("realloc from {before} to {bytes} bytes: {what}"))?;
        if !moved.addr().get().is_multiple_of(MIN_ALIGN) {
            return Err(format!("realloc to {bytes} bytes is not aligned: {moved:p}"));
        }
        (self.bytes, self.stamp) = (bytes, stamp);
        self.fill();
        Ok(())
    }

    fn check_first(&self, kept: usize) -> Promise<()> {
        self.look(kept, |offset| word_at(self.stamp, offset))
    }

    fn fill(&self) {
        for (first, end) in parts(self.bytes) {
            for offset in (first..end).step_by(WORD) {
                let word = word_at(self.stamp, offset).to_ne_bytes();
                let length = WORD.min(end - offset);
                // SAFETY: `offset + length <= bytes` (`parts`), and the block is ours.
                unsafe {
                    let place = self.start.as_ptr().add(offset);
                    match length {
                        WORD => place.cast::<[u8; WORD]>().write(word),
                        _ => ptr::copy_nonoverlapping(word.as_ptr(), place, length),
                    }
                }
            }
        }
    }

    /// Compares the first `kept` bytes, as far as `fill` wrote them.
    fn look(&self, kept: usize, expected: impl Fn(usize) -> u64) -> Promise<()> {
        for (first, end) in parts(self.bytes) {
            for offset in (first..end.min(kept)).step_by(WORD) {
                let length = WORD.min(end.min(kept) - offset);
                let mut found = [0; WORD];
                // SAFETY: `offset + length <= bytes` (`parts`); these bytes were written, by calloc or by
                // `fill`.
                unsafe {
                    let place = self.start.as_ptr().add(offset);
                    match length {
                        WORD => found = place.cast::<[u8; WORD]>().read(),
                        _ => ptr::copy_nonoverlapping(place, found.as_mut_ptr(), length),
                    }
                }
                let wanted = expected(offset).to_ne_bytes();
                if found[..length] != wanted[..length] {
                    return Err(self.damage(offset, &found[..length], &wanted[..length]));
                }
            }
        }
        Ok(())
    }

    #[cold]
    fn damage(&self, offset: usize, found: &[u8], wanted: &[u8]) -> String {
        let Self { start, bytes, .. } = self;
        format!(
            "a block of {bytes} bytes at {start:p} is damaged at offset {offset}: {found:02x?} \
             instead of {wanted:02x?}"
        )
    }
}

fn word_at(stamp: u64, offset: usize) -> u64 {
    stamp.wrapping_add((offset as u64 / WORD as u64).wrapping_mul(STEP))
}

/// The ranges of a block that are filled and checked. They begin at multiples of a word, so that ranges
/// that overlap agree.
fn parts(bytes: usize) -> impl Iterator<Item = (usize, usize)> {
    let sparse = bytes > FULL_BYTES;
    let head = if sparse { END_BYTES } else { bytes };
    let pages = if sparse { bytes / PAGE } else { 0 };
    let tail = sparse.then(|| ((bytes - END_BYTES) & !(WORD - 1), bytes));
    // A word in each page, at another place of each: all lines of a page are visited in 64 pages.
    let in_page = |page: usize| page * PAGE + (page * 72) % (PAGE - WORD + 8);
    let words = (1..pages).map(in_page).map(|offset| (offset, offset + WORD));
    std::iter::once((0, head)).chain(words).chain(tail)
}
