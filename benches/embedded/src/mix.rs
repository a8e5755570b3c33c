//! Owns the mixes: which sizes and alignments a program asks for.

use ace_bench_peers::random::{Random, lower_below};
use std::alloc::Layout;

/// What one request can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// Every size in a range, bounds included, is as likely as every other.
    Even(usize, usize),
    /// Heavy-tailed: from 16 bytes to 16 KiB, each doubling half as likely as the one before, so that
    /// each holds as many bytes; one block in 16 is aligned to 64.
    Tail,
}

/// Alignment of most blocks.
const ALIGN: usize = 8;
/// Doublings of the tail above 16 bytes.
const OCTAVES: u32 = 10;

impl Mix {
    /// Reads `16..1024`, `64` or `tail`.
    pub fn parse(word: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let number = text.parse().ok().filter(|bytes| (8..=1 << 20).contains(bytes));
            number.ok_or(format!("not a mix: {word}"))
        };
        match word.split_once("..") {
            Some((low, high)) => match (number(low)?, number(high)?) {
                (low, high) if low <= high => Ok(Self::Even(low, high)),
                _ => Err(format!("not a mix: {word}")),
            },
            None if word == "tail" => Ok(Self::Tail),
            None => number(word).map(|bytes| Self::Even(bytes, bytes)),
        }
    }

    /// The next request.
    pub fn draw(self, random: &mut Random) -> Layout {
        let bits = random.bits();
        let (bytes, align) = match self {
            Self::Even(low, high) => (low + lower_below(bits, high - low + 1), ALIGN),
            Self::Tail => {
                let octave = (bits >> 40).trailing_zeros().min(OCTAVES - 1);
                let first = 16 << octave;
                let align = if bits >> 60 == 0 { 64 } else { ALIGN };
                (first + lower_below(bits, first), align)
            }
        };
        Layout::from_size_align(bytes, align).expect("a small size and a power of two")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixes_are_read_from_words() {
        assert_eq!(Mix::parse("16..1024"), Ok(Mix::Even(16, 1024)));
        assert_eq!(Mix::parse("64"), Ok(Mix::Even(64, 64)));
        assert_eq!(Mix::parse("tail"), Ok(Mix::Tail));
        for word in ["", "4", "64..8", "8..", "x..9", "0..8", "8..99999999"] {
            assert!(Mix::parse(word).is_err(), "{word}");
        }
    }

    #[test]
    fn an_even_mix_covers_its_range_and_stays_in_it() {
        let mut random = Random::new(1);
        let mut seen = [false; 13];
        for _ in 0..1000 {
            seen[Mix::Even(8, 20).draw(&mut random).size() - 8] = true;
        }
        assert_eq!(seen, [true; 13]);
    }

    #[test]
    fn every_octave_of_the_tail_holds_about_as_many_bytes() {
        let mut random = Random::new(1);
        let (mut bytes, mut aligned) = ([0_u64; OCTAVES as usize - 1], 0);
        for _ in 0..1_000_000 {
            let layout = Mix::Tail.draw(&mut random);
            assert!((16..16 << OCTAVES).contains(&layout.size()));
            aligned += usize::from(layout.align() == 64);
            // The last one takes what the further ones would.
            if let Some(sum) = bytes.get_mut((layout.size() / 16).ilog2() as usize) {
                *sum += layout.size() as u64;
            }
        }
        let (least, most) = (bytes.iter().min().unwrap_or(&0), bytes.iter().max().unwrap_or(&0));
        assert!(*most < least * 13 / 10, "{bytes:?}");
        assert!((55_000..70_000).contains(&aligned), "{aligned} of a million");
    }
}
