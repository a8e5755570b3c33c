//! `Cost`: the most distance × bytes ÷ min(reload, recompute) goes first. Floor: first.
//!
//! Bytes that are cheap to get back are given up sooner. Where a reload takes time in proportion to the
//! bytes and nothing can be recomputed, all weights are alike and this is `Distance`.
//!
//! Distances shrink, so products change places as time goes on. States are therefore sorted into 64 classes
//! by weight, half a power of two wide, in which the order is that of the distance alone; the tops of the
//! classes are compared at the moment of choice. The error by this is at most a factor of the square root
//! of 2.

use super::{Policy, Rank, Seen, View};
use crate::{
    distance::{FRACTION_BITS, Trust},
    order::Order,
};

const CLASSES: u8 = 64;
/// The class of one byte a nanosecond, which is about what the slowest links do.
const MIDDLE: u32 = 32;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost;

/// Twice the logarithm to base 2 of bytes ÷ nanoseconds, around `MIDDLE`.
fn class(seen: &Seen) -> u8 {
    let cost_ns = seen.recompute_ns.map_or(seen.reload_ns, |cost| cost.min(seen.reload_ns)).max(1);
    // 2^32 × bytes ÷ ns, squared: its logarithm counts half powers of two.
    let weight =
        ((u128::from(seen.bytes) << 32) / u128::from(cost_ns)).clamp(1, u128::from(u64::MAX));
    let halves = (weight * weight).ilog2();
    let middle = halves.saturating_sub(64 - MIDDLE);
    u8::try_from(middle.min(u32::from(CLASSES) - 1)).unwrap_or(CLASSES - 1)
}

impl Policy for Cost {
    fn name(&self) -> &'static str {
        "cost"
    }

    fn classes(&self) -> u8 {
        CLASSES
    }

    fn rank(&mut self, _: View, seen: &Seen, _: &mut u64) -> Rank {
        Rank { class: class(seen), key: seen.key(View::Hinted) }
    }

    fn choose(&mut self, order: &Order, step: u64) -> Option<u32> {
        let now = step << FRACTION_BITS;
        let tops = (0..CLASSES).filter_map(|class| Some((class, order.top(class)?)));
        let weighed = tops.map(|(class, (key, state))| {
            // 181 / 128 is the square root of 2. The farthest key times the heaviest class has 104 bits.
            let odd = if class % 2 == 1 { 181 } else { 128 };
            let distance = u128::from(key.saturating_sub(now).saturating_add(1));
            ((distance << (class / 2)).saturating_mul(odd), state)
        });
        // Of equals the first, which is the lightest.
        weighed.reduce(|best, other| if other.0 > best.0 { other } else { best }).map(|top| top.1)
    }

    fn foresees(&self, _: &Trust) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{distance::NextUse, order::Toward};

    fn seen(bytes: u64, reload_ns: u64, recompute_ns: Option<u64>, step: u64) -> Seen {
        let hinted = NextUse::at(step);
        let own = NextUse::UNKNOWN;
        Seen { bytes, reload_ns, recompute_ns, use_order: 0, load_order: 0, hinted, own }
    }

    fn chosen(states: &[Seen], step: u64) -> Option<u32> {
        let mut order = Order::new(Toward::Farthest, usize::from(CLASSES));
        let mut policy = Cost;
        for (state, seen) in (0..).zip(states) {
            let rank = policy.rank(View::Hinted, seen, &mut 0);
            order.place(state, rank.class, rank.key);
        }
        policy.choose(&order, step)
    }

    #[test]
    fn what_is_cheap_to_get_back_goes_first_though_it_is_nearer() {
        let dear = seen(1 << 20, 40_000, None, 20);
        let cheap = seen(1 << 20, 40_000, Some(5_000), 10);
        assert_eq!(chosen(&[dear, cheap], 0), Some(1));
    }

    #[test]
    fn the_order_changes_as_time_goes_on() {
        let dear = seen(1 << 20, 40_000, None, 40);
        let cheap = seen(1 << 20, 40_000, Some(10_000), 20);
        assert_eq!(chosen(&[dear, cheap], 0), Some(1), "20 × 4 against 40 × 1");
        assert_eq!(chosen(&[dear, cheap], 18), Some(0), "2 × 4 against 22 × 1");
    }

    #[test]
    fn size_alone_changes_nothing_where_a_reload_costs_by_the_byte() {
        let large = seen(1 << 30, 40_000_000, None, 10);
        let small = seen(1 << 20, 39_062, None, 11);
        assert_eq!(chosen(&[large, small], 0), Some(1));
    }
}
