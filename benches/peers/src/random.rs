//! Owns the random numbers: xorshift64*, seeded, so that every allocator sees the same requests.

/// A generator; one a thread.
pub struct Random(u64);

impl Random {
    /// A generator whose whole future follows from `seed` (0 is as good as any other).
    pub fn new(seed: u64) -> Self {
        // One round of SplitMix64 spreads small seeds and never gives 0, where xorshift would stay.
        let mut x = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Self((x ^ (x >> 31)) | 1)
    }

    /// 64 random bits.
    #[inline(always)]
    pub fn bits(&mut self) -> u64 {
        let mut x = self.0;
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0 = x;
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}

/// The upper half of `bits`, scaled to `0..limit`.
#[inline(always)]
pub fn upper_below(bits: u64, limit: usize) -> usize {
    (((bits >> 32) * limit as u64) >> 32) as usize
}

/// The lower half of `bits`, scaled to `0..limit`.
#[inline(always)]
pub fn lower_below(bits: u64, limit: usize) -> usize {
    (((bits & 0xFFFF_FFFF) * limit as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_cover_their_range_and_stay_in_it() {
        let mut random = Random::new(0);
        let (mut low, mut high) = ([false; 7], [false; 7]);
        for _ in 0..1000 {
            let bits = random.bits();
            low[lower_below(bits, 7)] = true;
            high[upper_below(bits, 7)] = true;
        }
        assert_eq!((low, high), ([true; 7], [true; 7]));
    }
}
