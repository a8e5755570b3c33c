//! A small deterministic generator of numbers, and the seed that all tests start from.

/// Seed of a test: `ACE_TEST_SEED`, else a fixed number. Printed, so that a failure can be repeated.
#[must_use]
pub fn seed() -> u64 {
    let seed = number("ACE_TEST_SEED").unwrap_or(0x5EED_ACE0);
    eprintln!("seed: ACE_TEST_SEED={seed}");
    seed
}

/// How often a randomised test repeats: `ACE_TEST_CASES`, else `usual`.
#[must_use]
pub fn cases(usual: u32) -> u32 {
    number("ACE_TEST_CASES").map_or(usual, |cases| u32::try_from(cases).expect("32 bits"))
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator whose numbers depend on nothing but `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Draws the next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.draw() % bound as u64).expect("below a usize")
    }

    /// A size of a program's block: mostly small, sometimes mid, rarely up to `most`.
    pub fn size(&mut self, most: usize) -> usize {
        let bound = match self.below(16) {
            0..8 => 256,
            8..12 => 1 << 10,
            12..14 => 8 << 10,
            14 => 64 << 10,
            _ => most,
        };
        self.below(bound.min(most) + 1)
    }
}
