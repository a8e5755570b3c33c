//! The shadow: host addresses without memory, one for each byte of a device's range. Floor: adapter.
//!
//! The core's allocator does its sums on addresses of the shadow, and a constant leads from there to the
//! device. In front of the shadow, in the same reservation, lie the allocator's tables: they alone are ever
//! made accessible. A read or write of a block by the host would end the process at that instruction.

use core::ptr::{self, NonNull};

/// A reservation of host addresses; dropping it gives them back.
#[derive(Debug)]
pub(super) struct Shadow {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: addresses are not tied to a thread, and the methods do no more than change their protection.
unsafe impl Send for Shadow {}
// SAFETY: as above.
unsafe impl Sync for Shadow {}

impl Shadow {
    /// Sets `bytes` inaccessible bytes aside, aligned to `align`; `None` if the system refuses.
    pub(super) fn reserve(bytes: usize, align: usize) -> Option<Self> {
        let span = bytes.checked_add(align)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a fresh mapping where the system chooses.
        let raw = unsafe { libc::mmap(ptr::null_mut(), span, libc::PROT_NONE, flags, -1, 0) };
        if raw == libc::MAP_FAILED {
            return None;
        }
        let raw = raw.cast::<u8>();
        let head = raw.addr().next_multiple_of(align) - raw.addr();
        let start = raw.wrapping_add(head);
        for (piece, length) in [(raw, head), (start.wrapping_add(bytes), align - head)] {
            if length > 0 {
                // SAFETY: a part of the mapping just made, before or behind what is kept. A refusal costs
                // addresses only.
                unsafe { libc::munmap(piece.cast(), length) };
            }
        }
        NonNull::new(start).map(|start| Self { start, bytes })
    }

    /// First address.
    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Number of addresses.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether all these addresses are of this reservation.
    pub(super) fn holds(&self, start: NonNull<u8>, bytes: usize) -> bool {
        let offset = start.addr().get().wrapping_sub(self.start.addr().get());
        offset <= self.bytes && bytes <= self.bytes - offset
    }

    /// Puts zeroed memory behind whole pages of it; what has memory keeps it. `false`: the system refuses.
    pub(super) fn open(&self, start: NonNull<u8>, bytes: usize) -> bool {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        self.holds(start, bytes)
            // SAFETY: the pages are of this mapping, and more access harms nobody.
            && unsafe { libc::mprotect(start.as_ptr().cast(), bytes, access) } == 0
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        // SAFETY: the mapping that `reserve` made. Who has addresses of it can do no more than sums.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the kernel can read a byte at this address for us; it answers where a load would be a crash.
    fn is_readable(address: *const u8) -> bool {
        let mut pipe = [0; 2];
        // SAFETY: room for two descriptors.
        assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0, "a pipe");
        // SAFETY: the kernel checks the address.
        let written = unsafe { libc::write(pipe[1], address.cast(), 1) };
        for end in pipe {
            // SAFETY: a descriptor of ours.
            unsafe { libc::close(end) };
        }
        written == 1
    }

    #[test]
    fn only_what_was_opened_can_be_touched() {
        let (bytes, align, page) = (64 << 20, 2 << 20, 65536);
        let shadow = Shadow::reserve(bytes, align).expect("addresses");
        let start = shadow.start();
        assert!(start.addr().get().is_multiple_of(align));
        let byte = |at: usize| start.as_ptr().wrapping_add(at);
        assert!(shadow.open(start, page) && shadow.open(start, page));
        assert!(is_readable(byte(0)) && is_readable(byte(page - 1)));
        for at in [page, 1 << 20, bytes / 2, bytes - 1] {
            assert!(!is_readable(byte(at)), "byte {at}");
        }
        assert!(shadow.holds(start, bytes) && !shadow.holds(start, bytes + 1));
        assert!(!shadow.open(start, bytes + page), "not beyond its end");
        // SAFETY: within the mapping.
        let below = unsafe { start.sub(1) };
        assert!(!shadow.holds(below, 1));
    }
}
