//! Kernels: entries of PTX that have a twin on the host. Floor: ground.
//!
//! The text of a module is read for the names of its entries only. A launch runs the twin of that name, on
//! the arguments that were passed, and once for the whole grid.

use crate::code::{ILLEGAL_ADDRESS, INVALID_IMAGE, Outcome};
use crate::memory::Memory;
use std::ptr;

/// The host's version of a kernel.
pub struct Twin {
    name: &'static str,
    /// Bytes of each argument: 4 or 8.
    pub argument_bytes: &'static [usize],
    run: fn(&Reach<'_>, &[u64]) -> Outcome,
}

/// A kernel with its arguments, as they were when it was launched.
pub struct Launch {
    pub twin: &'static Twin,
    pub arguments: Vec<u64>,
}

impl Launch {
    /// Does what the kernel does.
    pub fn run(&self, memory: &Memory, device: usize) -> Outcome {
        (self.twin.run)(&Reach { memory, device }, &self.arguments)
    }
}

/// The memory that a kernel on this device may touch.
struct Reach<'a> {
    memory: &'a Memory,
    device: usize,
}

static TWINS: &[Twin] = &[
    // ace_fill(to: u64, words: u64, value: u32)
    Twin { name: "ace_fill", argument_bytes: &[8, 8, 4], run: fill },
    // ace_checksum(from: u64, words: u64, sum: u64), to *sum
    Twin { name: "ace_checksum", argument_bytes: &[8, 8, 8], run: checksum },
    // ace_saxpy(y: u64, x: u64, words: u64, a: f32)
    Twin { name: "ace_saxpy", argument_bytes: &[8, 8, 8, 4], run: saxpy },
    // ace_mix(data: u64, words: u64, first: u64, rounds: u32, key: u64, sums: u64), to sums[0..3]
    Twin { name: "ace_mix", argument_bytes: &[8, 8, 8, 4, 8, 8], run: mix },
];

/// The twin of an entry.
pub fn twin(name: &str) -> Option<&'static Twin> {
    TWINS.iter().find(|twin| twin.name == name)
}

/// The names of the entries in a PTX text.
///
/// # Errors
/// It is no PTX.
pub fn entries(text: &str) -> Result<Vec<String>, u32> {
    if ![".version", ".target"].iter().all(|word| text.contains(word)) {
        return Err(INVALID_IMAGE);
    }
    let name = |rest: &str| {
        let end = rest.find(|letter: char| letter == '(' || letter.is_whitespace());
        rest[..end.unwrap_or(rest.len())].to_owned()
    };
    Ok(text.split(".entry").skip(1).map(|rest| name(rest.trim_start())).collect())
}

impl Reach<'_> {
    /// The first of `count` numbers, all of which the kernel may touch.
    fn numbers<T>(&self, start: u64, count: u64) -> Result<*mut T, u32> {
        let bytes = count.checked_mul(size_of::<T>() as u64).ok_or(ILLEGAL_ADDRESS)?;
        let first = ptr::with_exposed_provenance_mut::<T>(start as usize);
        let is_usable = first.is_aligned() && self.memory.is_usable(self.device, start, bytes);
        if is_usable { Ok(first) } else { Err(ILLEGAL_ADDRESS) }
    }
}

fn fill(reach: &Reach<'_>, arguments: &[u64]) -> Outcome {
    let &[to, words, value] = arguments else { return Err(ILLEGAL_ADDRESS) };
    let to = reach.numbers::<u32>(to, words)?;
    for index in 0..words as usize {
        // SAFETY: `numbers` found `words` of them mapped with access, and the lock on the state is held.
        unsafe { to.add(index).write(value as u32) };
    }
    Ok(())
}

fn checksum(reach: &Reach<'_>, arguments: &[u64]) -> Outcome {
    let &[from, words, sum] = arguments else { return Err(ILLEGAL_ADDRESS) };
    let from = reach.numbers::<u32>(from, words)?;
    let sum = reach.numbers::<u64>(sum, 1)?;
    // SAFETY: As in `fill`; mapped memory has contents, whatever they are.
    let words = (0..words as usize).map(|index| u64::from(unsafe { from.add(index).read() }));
    let total = words.fold(0, u64::wrapping_add);
    // SAFETY: As in `fill`.
    unsafe { sum.write(total) };
    Ok(())
}

fn saxpy(reach: &Reach<'_>, arguments: &[u64]) -> Outcome {
    let &[y, x, words, a] = arguments else { return Err(ILLEGAL_ADDRESS) };
    let (y, x) = (reach.numbers::<f32>(y, words)?, reach.numbers::<f32>(x, words)?);
    let a = f32::from_bits(a as u32);
    for index in 0..words as usize {
        // SAFETY: As in `checksum`; the two may overlap, so no references are made.
        let (at, factor) = unsafe { (y.add(index), x.add(index).read()) };
        // SAFETY: As in `fill`.
        unsafe { at.write(a.mul_add(factor, at.read())) };
    }
    Ok(())
}

/// Of words of 8 bytes; what it computes is explained where its PTX is, in `gpu-check`.
fn mix(reach: &Reach<'_>, arguments: &[u64]) -> Outcome {
    const TAG: u64 = 0x9E37_79B9_7F4A_7C15;
    const TERM: u64 = 0xD6E8_FEB8_6659_FD93;
    const ROUND: u64 = 0xFF51_AFD7_ED55_8CCD;
    let &[data, words, first, rounds, key, sums] = arguments else { return Err(ILLEGAL_ADDRESS) };
    let data = reach.numbers::<u64>(data, words)?;
    let sums = reach.numbers::<u64>(sums, 3)?;
    let mut totals = [0_u64; 3];
    for at in 0..words {
        let tag = at.wrapping_mul(TAG);
        // SAFETY: As in `checksum`.
        let (place, word) = unsafe { (data.add(at as usize), data.add(at as usize).read()) };
        let round = |word: u64| (word ^ word >> 32).wrapping_mul(ROUND);
        let step = key.wrapping_add(tag);
        let mixed = (0..rounds).fold(word, |word, _| round(word).wrapping_add(step));
        let now = if at < first { word } else { mixed };
        // SAFETY: As in `fill`.
        unsafe { place.write(now) };
        for (total, word) in totals.iter_mut().zip([word, now, mixed]) {
            *total = total.wrapping_add((word ^ tag).wrapping_mul(TERM));
        }
    }
    for (index, total) in totals.into_iter().enumerate() {
        // SAFETY: As in `fill`.
        unsafe { sums.add(index).write(sums.add(index).read().wrapping_add(total)) };
    }
    Ok(())
}
