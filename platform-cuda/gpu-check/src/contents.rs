//! What states hold and what the kernel makes of it: the host's model of `ace_mix` in `kernels.ptx`.
//! Floor: cellar.

use std::thread;

/// Bytes of a word, the kernel's unit.
pub const WORD: u64 = 8;

const TAG: u64 = 0x9E37_79B9_7F4A_7C15;
const TERM: u64 = 0xD6E8_FEB8_6659_FD93;
const ROUND: u64 = 0xFF51_AFD7_ED55_8CCD;

/// Below this many words another thread is not worth its start.
const LEAST_SHARE: usize = 1 << 16;

/// What a word at this place adds to a digest. One word that differs always changes the digest.
pub const fn term(word: u64, at: u64) -> u64 {
    (word ^ at.wrapping_mul(TAG)).wrapping_mul(TERM)
}

/// What the kernel makes of a word. No two words become the same.
pub const fn mix(mut word: u64, at: u64, rounds: u32, key: u64) -> u64 {
    let step = key.wrapping_add(at.wrapping_mul(TAG));
    let mut left = rounds;
    while left > 0 {
        word = (word ^ word >> 32).wrapping_mul(ROUND).wrapping_add(step);
        left -= 1;
    }
    word
}

/// The first contents of a state.
pub const fn initial(seed: u64, at: u64) -> u64 {
    let word = (seed ^ at).wrapping_mul(TAG);
    word ^ word >> 29
}

/// The seed of one of many things.
pub const fn seed_of(seed: u64, number: u64) -> u64 {
    let word = (seed.rotate_left(32) ^ number.wrapping_add(1)).wrapping_mul(ROUND);
    word ^ word >> 31
}

pub fn threads() -> usize {
    thread::available_parallelism().map_or(1, |count| count.get().min(8))
}

/// Gives bytes, a whole number of words, their first contents. Returns their digest.
pub fn fill(bytes: &mut [u8], seed: u64) -> u64 {
    let share = (bytes.len() / WORD as usize).div_ceil(threads()).max(LEAST_SHARE);
    let fill_part = |first: u64, part: &mut [u8]| {
        let mut digest = 0u64;
        for (at, word) in (first..).zip(part.chunks_exact_mut(WORD as usize)) {
            let value = initial(seed, at);
            word.copy_from_slice(&value.to_le_bytes());
            digest = digest.wrapping_add(term(value, at));
        }
        digest
    };
    thread::scope(|scope| {
        let parts = bytes.chunks_mut(share * WORD as usize);
        let firsts = (0u64..).step_by(share);
        let threads: Vec<_> = firsts
            .zip(parts)
            .map(|(first, part)| scope.spawn(move || fill_part(first, part)))
            .collect();
        sum(threads)
    })
}

/// The digest of a part that begins with the word `first`.
pub fn digest(bytes: &[u8], first: u64) -> u64 {
    let share = (bytes.len() / WORD as usize).div_ceil(threads()).max(LEAST_SHARE);
    let part_digest = |first: u64, part: &[u8]| {
        let words = part.chunks_exact(WORD as usize);
        (first..)
            .zip(words)
            .fold(0u64, |digest, (at, word)| digest.wrapping_add(term(word_of(word), at)))
    };
    thread::scope(|scope| {
        let parts = bytes.chunks(share * WORD as usize);
        let firsts = (first..).step_by(share);
        let threads: Vec<_> = firsts
            .zip(parts)
            .map(|(first, part)| scope.spawn(move || part_digest(first, part)))
            .collect();
        sum(threads)
    })
}

pub fn sum(threads: Vec<thread::ScopedJoinHandle<'_, u64>>) -> u64 {
    // A part can't panic: it does arithmetic that wraps.
    threads.into_iter().filter_map(|thread| thread.join().ok()).fold(0, u64::wrapping_add)
}

/// The number in eight bytes; of fewer, the first ones.
pub fn word_of(bytes: &[u8]) -> u64 {
    let mut word = [0; WORD as usize];
    let length = bytes.len().min(word.len());
    word[..length].copy_from_slice(&bytes[..length]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_same_in_parts_and_whole_and_sees_every_bit() {
        let mut bytes = vec![0; 8 * (3 * LEAST_SHARE + 17)];
        let whole = fill(&mut bytes, 7);
        assert_eq!(digest(&bytes, 0), whole);
        let (left, right) = bytes.split_at(8 * LEAST_SHARE);
        let parts = digest(left, 0).wrapping_add(digest(right, LEAST_SHARE as u64));
        assert_eq!(parts, whole);
        for at in [0, 12_345, bytes.len() - 1] {
            bytes[at] ^= 1;
            assert_ne!(digest(&bytes, 0), whole, "byte {at}");
            bytes[at] ^= 1;
        }
    }

    #[test]
    fn mixing_depends_on_word_place_rounds_and_key() {
        let mixed = mix(1, 2, 3, 4);
        assert_eq!(mix(1, 2, 0, 4), 1);
        for other in [mix(2, 2, 3, 4), mix(1, 3, 3, 4), mix(1, 2, 4, 4), mix(1, 2, 3, 5)] {
            assert_ne!(other, mixed);
        }
    }
}
