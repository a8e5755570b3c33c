//! A C program that calls the library and knows the C functions' contract: what succeeds, what fails
//! and with which errno, what is aligned, zero, kept and left alone.

use crate::c_calls::Call;
use crate::c_library::{Library, library};
use ace_alloc_tests::shadow::{Shadow, assert_zero};
use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// What errno holds when a call begins, and after each call that must leave it alone.
const UNTOUCHED: c_int = 77;
const PAGE: usize = 4096;
/// Requests below this many bytes, alignment included, are always served.
const SERVED: usize = 64 << 20;
/// Whether there is so much depends on the machine, and all that the heap finds of it once, later
/// executions have to walk: such calls are left out.
const MACHINE_DEPENDENT: Range<usize> = 2 << 30..512 << 30;
/// Live bytes above which the program frees its large blocks first.
const MOST_BYTES: usize = 256 << 20;
/// `mallopt`'s parameters that the manual names, but for `M_PERTURB`.
const PARAMETERS: [c_int; 8] = [1, -1, -2, -3, -4, -5, -7, -8];
const TRIM_THRESHOLD: c_int = -1;

/// Kinds of calls × bits of a size × outcomes.
const COUNTERS: usize = 16 * 65 * 2;

/// The library is not instrumented, so the fuzzer sees only this program. These counters, which it
/// reads as if they were counters of code, tell it of each new kind of call, magnitude and outcome.
#[unsafe(link_section = "__libfuzzer_extra_counters")]
static SEEN: [AtomicU8; COUNTERS] = [const { AtomicU8::new(0) }; COUNTERS];

fn note(kind: usize, bytes: usize, served: bool) {
    let bits = (usize::BITS - bytes.leading_zeros()) as usize;
    SEEN[(kind * 65 + bits) * 2 + usize::from(served)].fetch_add(1, Ordering::Relaxed);
}

/// See the module's documentation.
pub struct Program {
    library: &'static Library,
    shadow: Shadow,
}

impl Program {
    /// A program that has not allocated.
    #[must_use]
    pub fn new() -> Self {
        let library = library();
        // The executions of a fuzzer share the library's heap: each begins with the same threshold.
        (library.mallopt)(TRIM_THRESHOLD, 1 << 20);
        Self { library, shadow: Shadow::default() }
    }

    /// Makes a call.
    ///
    /// # Panics
    /// If the library breaks the contract.
    pub fn call(&mut self, call: Call) {
        if MACHINE_DEPENDENT.contains(&call.wanted()) {
            return;
        }
        if self.shadow.bytes() > MOST_BYTES {
            self.free_large();
        }
        match call {
            Call::Malloc(name, bytes) => {
                let (block, errno) = watched(|| pick(&self.library.malloc, name)(bytes));
                self.judge(0, block, errno, bytes, 16);
            }
            Call::Calloc(name, count, bytes) => self.calloc(name, count, bytes),
            Call::Realloc(name, number, bytes) => {
                self.realloc(name, self.shadow.pick(number), bytes)
            }
            Call::ReallocNull(name, bytes) => self.realloc(name, None, bytes),
            Call::PosixMemalign(name, align, bytes) => self.posix_memalign(name, align, bytes),
            Call::Aligned(name, align, bytes) => self.aligned(name, align, bytes),
            Call::Valloc(name, bytes) => {
                let (block, errno) = watched(|| pick(&self.library.valloc, name)(bytes));
                self.judge(5, block, errno, bytes, PAGE);
            }
            Call::Pvalloc(name, bytes) => {
                let (block, errno) = watched(|| pick(&self.library.pvalloc, name)(bytes));
                let whole = bytes.max(1).checked_next_multiple_of(PAGE).unwrap_or(usize::MAX);
                self.judge(6, block, errno, whole, PAGE);
            }
            Call::Free(name, number) => {
                if let Some(index) = self.shadow.pick(number) {
                    let block = self.shadow.surrender(index);
                    self.free(name, block.ptr, block.bytes);
                }
            }
            Call::FreeNull(name) => self.free(name, ptr::null_mut(), 0),
            Call::Usable(number) => self.usable(number),
            Call::Trim(keep) => {
                let (answer, errno) = watched(|| (self.library.malloc_trim)(keep));
                assert!(matches!(answer, 0 | 1) && errno == UNTOUCHED, "malloc_trim({keep})");
            }
            Call::Mallopt(parameter, value) => {
                let (answer, errno) = watched(|| (self.library.mallopt)(parameter, value));
                let wanted = c_int::from(PARAMETERS.contains(&parameter));
                assert_eq!((answer, errno), (wanted, UNTOUCHED), "mallopt({parameter}, {value})");
            }
            Call::Mallinfo => self.check_account(),
            Call::MallocInfo(options) => self.malloc_info(options),
        }
    }

    /// Frees all; then the library's own account shows nothing in use.
    ///
    /// # Panics
    /// If it does, or a block was changed.
    pub fn finish(mut self) {
        while let Some(index) = self.shadow.pick(usize::MAX) {
            let block = self.shadow.surrender(index);
            self.free(0, block.ptr, block.bytes);
        }
        self.check_account();
        (self.library.malloc_trim)(0);
    }

    fn free_large(&mut self) {
        for index in (0..self.shadow.len()).rev() {
            if self.shadow.block(index).bytes > 1 << 20 {
                let block = self.shadow.surrender(index);
                self.free(index, block.ptr, block.bytes);
            }
        }
    }

    /// Takes a block over, or checks that there is a reason for none.
    fn judge(&mut self, kind: usize, block: *mut c_void, errno: c_int, bytes: usize, align: usize) {
        note(kind, bytes, !block.is_null());
        if block.is_null() {
            assert_eq!(errno, libc::ENOMEM, "no {bytes} bytes aligned to {align}: errno");
            assert_excusable(bytes, align);
            return;
        }
        assert_eq!(errno, UNTOUCHED, "{bytes} bytes aligned to {align}: errno after success");
        self.adopt(block, bytes, align);
    }

    fn adopt(&mut self, block: *mut c_void, bytes: usize, align: usize) {
        assert!(isize::try_from(bytes).is_ok(), "a block of {bytes} bytes");
        // SAFETY: a block that the library has just handed out.
        let usable = unsafe { (self.library.malloc_usable_size)(block) };
        assert!(usable >= bytes.max(1), "{usable} usable bytes of {bytes} asked");
        // SAFETY: usable bytes are the program's.
        unsafe { self.shadow.adopt(block.cast(), usable, align.max(16), None) };
    }

    fn calloc(&mut self, name: usize, count: usize, bytes: usize) {
        let (block, errno) = watched(|| pick(&self.library.calloc, name)(count, bytes));
        let whole = count.checked_mul(bytes);
        if !block.is_null() {
            let whole = whole.unwrap_or_else(|| panic!("calloc({count}, {bytes}) gave a block"));
            // SAFETY: the bytes asked for are the program's.
            unsafe { assert_sampled_zero(block.cast(), whole) };
        }
        self.judge(1, block, errno, whole.unwrap_or(usize::MAX), 16);
    }

    fn realloc(&mut self, name: usize, index: Option<usize>, bytes: usize) {
        let old = index.map(|index| self.shadow.surrender(index));
        let start = old.map_or(ptr::null_mut(), |block| block.ptr);
        // SAFETY: NULL, or a live block that is used by the new address only if there is one.
        let (block, errno) =
            watched(|| unsafe { pick(&self.library.realloc, name)(start.cast(), bytes) });
        let Some(mut old) = old else { return self.judge(2, block, errno, bytes, 16) };
        if bytes == 0 {
            assert!(block.is_null() && errno == UNTOUCHED, "realloc to 0 bytes frees");
            return note(3, 0, false);
        }
        if block.is_null() {
            // The old block is as it was.
            old.check(old.bytes);
            // SAFETY: the library did not take it.
            unsafe { self.shadow.adopt(old.ptr, old.bytes, 16, None) };
        } else {
            old.ptr = block.cast();
            old.check(bytes.min(old.bytes));
        }
        self.judge(3, block, errno, bytes, 16);
    }

    fn posix_memalign(&mut self, name: usize, align: usize, bytes: usize) {
        let nothing = ptr::without_provenance_mut::<c_void>(1);
        let mut place = nothing;
        let call = *pick(&self.library.posix_memalign, name);
        // SAFETY: a place for the answer.
        let (answer, errno) = watched(|| unsafe { call(&raw mut place, align, bytes) });
        let what = format!("posix_memalign({align:#x}, {bytes:#x})");
        assert_eq!(errno, UNTOUCHED, "{what} leaves errno alone");
        note(4, bytes, answer == 0);
        if !align.is_power_of_two() || !align.is_multiple_of(size_of::<*mut c_void>()) {
            assert_eq!((answer, place), (libc::EINVAL, nothing), "{what}: not an alignment");
        } else if answer == 0 {
            assert!(!place.is_null(), "{what} gave NULL");
            self.adopt(place, bytes, align);
        } else {
            assert_eq!((answer, place), (libc::ENOMEM, nothing), "{what}: no memory");
            assert_excusable(bytes, align);
        }
    }

    fn aligned(&mut self, name: usize, align: usize, bytes: usize) {
        let (block, errno) = watched(|| pick(&self.library.aligned, name)(align, bytes));
        if align.is_power_of_two() {
            return self.judge(7, block, errno, bytes, align);
        }
        note(8, bytes, false);
        assert!(block.is_null() && errno == libc::EINVAL, "{align:#x} is no alignment: {errno}");
    }

    fn free(&self, name: usize, block: *mut u8, bytes: usize) {
        // SAFETY: NULL, or a live block of this size, freed once. All blocks are aligned to 16.
        let ((), errno) = watched(|| unsafe {
            match name % 5 {
                3 => (self.library.free_sized)(block.cast(), bytes),
                4 => (self.library.free_aligned_sized)(block.cast(), 16, bytes),
                name => self.library.free[name](block.cast()),
            }
        });
        note(9, bytes, !block.is_null());
        assert_eq!(errno, UNTOUCHED, "free leaves errno alone");
    }

    fn usable(&self, number: usize) {
        let block = self.shadow.pick(number).map(|index| self.shadow.block(index));
        let (start, bytes) = block.map_or((ptr::null_mut(), 0), |block| (block.ptr, block.bytes));
        // SAFETY: NULL or a live block.
        let answer = watched(|| unsafe { (self.library.malloc_usable_size)(start.cast()) });
        assert_eq!(answer, (bytes, UNTOUCHED), "malloc_usable_size of {start:p}");
    }

    /// The library's account of what is in use is the program's own.
    fn check_account(&self) {
        let (wide, errno) = watched(|| (self.library.mallinfo2)());
        assert_eq!(errno, UNTOUCHED, "mallinfo2 leaves errno alone");
        let live = self.shadow.bytes();
        assert_eq!(wide.uordblks + wide.hblkhd, live, "bytes in use: {wide:?}");
        assert!(wide.hblks <= self.shadow.len(), "mapped blocks: {wide:?}");
        let narrow = (self.library.mallinfo)();
        let cut = |value: usize| c_int::try_from(value).unwrap_or(c_int::MAX);
        assert_eq!(narrow.uordblks, cut(wide.uordblks), "mallinfo in 31 bits");
        assert_eq!(narrow.hblkhd, cut(wide.hblkhd), "mallinfo in 31 bits");
    }

    fn malloc_info(&self, options: c_int) {
        static NOWHERE: OnceLock<usize> = OnceLock::new();
        let stream = *NOWHERE.get_or_init(|| {
            // SAFETY: two strings. The stream stays open until the process ends.
            unsafe { libc::fopen(c"/dev/null".as_ptr(), c"w".as_ptr()) }.expose_provenance()
        });
        let stream = ptr::with_exposed_provenance_mut(stream);
        // SAFETY: an open stream.
        let (answer, errno) = watched(|| unsafe { (self.library.malloc_info)(options, stream) });
        if options == 0 {
            assert_eq!(answer, 0, "malloc_info");
        } else {
            assert_eq!((answer, errno), (-1, libc::EINVAL), "malloc_info of unknown options");
        }
    }
}

impl Default for Program {
    fn default() -> Self {
        Self::new()
    }
}

/// One of a function's names.
fn pick<F>(names: &[F], name: usize) -> &F {
    &names[name % names.len()]
}

/// Makes a call with a known errno; returns its answer and what errno is then.
fn watched<R>(call: impl FnOnce() -> R) -> (R, c_int) {
    // SAFETY: errno's place is this thread's own.
    unsafe { *libc::__errno_location() = UNTOUCHED };
    let answer = call();
    // SAFETY: as above.
    (answer, unsafe { *libc::__errno_location() })
}

fn assert_excusable(bytes: usize, align: usize) {
    let wanted = bytes.saturating_add(align);
    assert!(wanted > SERVED, "no memory for {bytes} bytes aligned to {align}");
}

/// [`assert_zero`], of large blocks at both ends and here and there between: a look at all of it would
/// make it resident.
unsafe fn assert_sampled_zero(block: *const u8, bytes: usize) {
    const ENDS: usize = 64 << 10;
    if bytes <= 4 * ENDS {
        // SAFETY: the caller's promise.
        return unsafe { assert_zero(block, bytes) };
    }
    // SAFETY: the caller's promise: all of it lies in the block.
    unsafe {
        assert_zero(block, ENDS);
        for at in (ENDS..bytes - ENDS).step_by(bytes / 64) {
            assert_zero(block.add(at), 1);
        }
        assert_zero(block.add(bytes - ENDS), ENDS);
    }
}
