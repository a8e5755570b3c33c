//! Random numbers that are the same in every run.
//! Floor: none.

/// A xorshift generator.
pub struct Random(u64);

impl Random {
    /// `seed` isn't 0.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which isn't 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let high = (self.0 >> 32) as usize;
        high % bound
    }
}
