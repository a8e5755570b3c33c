//! Owns the memory that heaps work in, and processes of their own for heaps that must be fresh.

use crate::heap::Arena;
use std::ptr;

/// Every arena begins at a multiple of this, so that none has a luckier place than another.
const PLACE: usize = 2 << 20;
/// No page is smaller.
const PAGE: usize = 4096;

/// Memory that this process and its children share.
fn shared(bytes: usize) -> *mut u8 {
    // SAFETY: a fresh anonymous mapping touches nothing that exists.
    let memory = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert!(memory != libc::MAP_FAILED, "no memory for {bytes} bytes");
    memory.cast()
}

/// A new arena, all of it resident; it stays for the life of the process.
pub fn arena(bytes: usize) -> Arena {
    let memory = shared(bytes + PLACE);
    let start = memory.map_addr(|address| address.next_multiple_of(PLACE));
    for page in (0..bytes).step_by(PAGE) {
        // SAFETY: `shared` mapped it, and nobody else knows of it.
        unsafe { start.add(page).write_volatile(0) };
    }
    Arena { start, bytes }
}

/// Makes everything resident that this process has mapped, and its own where it is written to: after a
/// fork even touching a page for the first time is a visit to the kernel, which no heap is to blame for.
pub fn settle() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for line in maps.lines() {
        let Some((range, rest)) = line.split_once(' ') else { continue };
        let bounds = range.split_once('-').map(|(start, end)| {
            [start, end].map(|text| usize::from_str_radix(text, 16).unwrap_or(0))
        });
        let Some([start, end]) = bounds else { continue };
        let advice = match rest.as_bytes() {
            [b'r', b'w', ..] => libc::MADV_POPULATE_WRITE,
            [b'r', ..] => libc::MADV_POPULATE_READ,
            _ => continue,
        };
        // SAFETY: the advice changes no memory's contents. The kernel's own pages refuse it.
        unsafe { libc::madvise(ptr::without_provenance_mut(start), end - start, advice) };
    }
}

/// Runs `work` in a child process with `words` zeroes that it may change: what it left there, or that
/// it did not end well. Statics are as they were before: a heap that starts in there is a fresh one.
pub fn in_child(words: usize, work: impl FnOnce(&mut [u64])) -> Result<Vec<u64>, String> {
    let memory = shared((words * size_of::<u64>()).max(1)).cast::<u64>();
    // SAFETY: this process has one thread here, so the child is whole.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "no further process");
    if child == 0 {
        // SAFETY: `shared` mapped so many zeroes, and the parent only waits.
        work(unsafe { std::slice::from_raw_parts_mut(memory, words) });
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: `status` is ours, and the child too.
    unsafe { libc::waitpid(child, &mut status, 0) };
    // SAFETY: `shared` mapped so many words, and the child is gone.
    let left = unsafe { std::slice::from_raw_parts(memory, words) }.to_vec();
    // SAFETY: the mapping of `shared`, of which no slice is left.
    unsafe { libc::munmap(memory.cast(), (words * size_of::<u64>()).max(1)) };
    match status {
        0 => Ok(left),
        _ if libc::WIFSIGNALED(status) => Err(format!("signal {}", libc::WTERMSIG(status))),
        _ => Err(format!("exit code {}", libc::WEXITSTATUS(status))),
    }
}
