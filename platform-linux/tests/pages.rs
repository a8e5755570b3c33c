//! Pages from the kernel: aligned, zero, given back, refused as values.

use ace_alloc_linux::{
    LinuxPages,
    core_heap::pages::{OutOfPages, PageProvider, Purged, Region},
};

const MIB: usize = 1 << 20;

#[test]
fn reserved_is_aligned_committed_is_zero_purged_is_zero_again() {
    for align in [LinuxPages::PAGE, 64 << 10, 4 * MIB, 1 << 30] {
        let whole = LinuxPages.reserve(64 * MIB, align).expect("address space");
        assert!(whole.start.as_ptr().addr().is_multiple_of(align));
        let part = Region { start: whole.start, bytes: MIB };
        // SAFETY: `part` lies in the reservation, is committed before it is touched, and is ours.
        unsafe {
            LinuxPages.commit(part).expect("memory");
            LinuxPages.commit(part).expect("twice is harmless");
            let bytes = std::slice::from_raw_parts_mut(part.start.as_ptr(), part.bytes);
            assert!(bytes.iter().all(|&byte| byte == 0));
            bytes.fill(0xA5);
            assert_eq!(LinuxPages.purge(part), Purged::Zeroed);
            assert!(bytes.iter().all(|&byte| byte == 0));
            LinuxPages.release(whole);
        }
    }
}

#[test]
fn huge_regions_grow_with_their_content() {
    let small = LinuxPages.map(MIB, LinuxPages::PAGE).expect("memory");
    // SAFETY: mapped regions are committed; after remap only the new address is used.
    unsafe {
        small.start.as_ptr().write(42);
        let large = LinuxPages.remap(small, 64 * MIB + 1, true).expect("address space");
        assert_eq!(large.bytes, 64 * MIB + LinuxPages::PAGE);
        assert_eq!(large.start.as_ptr().read(), 42);
        assert_eq!(large.start.as_ptr().add(large.bytes - 1).read(), 0);
        let shrunk = LinuxPages.remap(large, MIB, false).expect("shrinking in place");
        assert_eq!(shrunk.start, large.start);
        LinuxPages.release(shrunk);
    }
}

#[test]
fn too_much_is_a_value() {
    let too_much = [0, usize::MAX, usize::MAX - 4096, 1 << 62, 1 << 50];
    for bytes in too_much {
        assert_eq!(LinuxPages.reserve(bytes, 4 * MIB), Err(OutOfPages), "{bytes}");
        assert_eq!(LinuxPages.map(bytes, LinuxPages::PAGE), Err(OutOfPages), "{bytes}");
    }
    assert_eq!(LinuxPages.map(MIB, 1 << 62), Err(OutOfPages));
}

#[test]
fn a_limit_of_address_space_is_halved() {
    // In a child: the limit would hit the other tests.
    // SAFETY: the child calls only system calls and `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let limit = libc::rlimit { rlim_cur: 4 << 30, rlim_max: 4 << 30 };
        // SAFETY: a valid limit.
        let set = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) } == 0;
        let refused = LinuxPages.reserve(3 << 30, 4 * MIB) == Err(OutOfPages);
        let granted = LinuxPages.reserve(1 << 30, 4 * MIB).is_ok();
        // SAFETY: ends the child without running the test harness's code.
        unsafe { libc::_exit(if set && refused && granted { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: our own child and a valid place.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "status {status}");
}

/// Bytes of the region that the kernel holds memory for.
fn resident(region: Region) -> usize {
    let mut pages = vec![0_u8; region.bytes / LinuxPages::PAGE];
    let start = region.start.as_ptr().cast();
    // SAFETY: the region is mapped and the vector has a byte for each page.
    let failed = unsafe { libc::mincore(start, region.bytes, pages.as_mut_ptr()) };
    assert_eq!(failed, 0, "mincore");
    pages.iter().filter(|page| **page & 1 != 0).count() * LinuxPages::PAGE
}

#[test]
fn promoted_memory_keeps_its_content_and_is_given_back_once_demoted() {
    let whole = LinuxPages.reserve(8 * MIB, 4 * MIB).expect("address space");
    let part = Region { start: whole.start, bytes: 4 * MIB };
    // SAFETY: `part` lies in the reservation, is committed before it is touched, and is ours.
    unsafe {
        LinuxPages.commit(part).expect("memory");
        let bytes = std::slice::from_raw_parts_mut(part.start.as_ptr(), part.bytes);
        // All but a few pages, as in a superslab that is used nearly all over.
        let used = part.bytes - 16 * LinuxPages::PAGE;
        bytes[..used].fill(0xA5);
        if LinuxPages.promote(part) {
            LinuxPages.demote(part);
        }
        assert!(bytes[..used].iter().all(|&byte| byte == 0xA5));
        assert!(bytes[used..].iter().all(|&byte| byte == 0));
        let hole = Region { start: part.start, bytes: LinuxPages::PAGE };
        assert_eq!(LinuxPages.purge(hole), Purged::Zeroed);
        assert_eq!(resident(hole), 0);
        assert!(bytes[..hole.bytes].iter().all(|&byte| byte == 0));
        assert!(bytes[hole.bytes..used].iter().all(|&byte| byte == 0xA5));
        LinuxPages.release(whole);
    }
}
