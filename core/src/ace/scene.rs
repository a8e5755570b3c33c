//! What the tests of policies share: what a turn may see, and orders carried out. Floor: garden.

use super::{Act, Order, Orders, Policy, Seen};
use crate::{dials::Dials, size_class::SizeClass};
use heapless::Vec;

/// A quiet turn of 20 ms in a heap of one thread, whose magazines and superslabs are as large as a
/// host's.
pub fn scene() -> Seen {
    let mut seen = Seen { now_ms: 1000, span_ms: 20, ..Seen::new() };
    for class in SizeClass::all() {
        let most = if class.bytes() > SizeClass::TINY_MAX { 64 } else { 127 };
        seen.rooms[class.index()] = ((512 << 10) / class.bytes()).min(most) as u8;
    }
    seen.slots = 127;
    seen.superslab_bytes = 4 << 20;
    seen.levels.threads = 1;
    seen
}

/// `seen`, in which the class had so many refills from slabs, and as many overflows.
pub fn busy(mut seen: Seen, class: usize, refills: u32) -> Seen {
    seen.classes[class].refills += refills;
    seen.classes[class].overflows += refills;
    seen.events.refills += u64::from(refills);
    seen.events.overflows += u64::from(refills);
    seen
}

/// One turn whose orders are carried out.
pub fn take(policy: &mut impl Policy, dials: &Dials, seen: &Seen) -> Vec<Order, 64> {
    let mut orders = Orders::new();
    policy.decide(seen, dials, &mut orders);
    for order in orders.list() {
        match order.act {
            Act::Set(dial, value) => dials.set(dial, value),
            Act::SetClass(class, dial, value) => dials.set_of_class(class, dial, value),
            Act::Purge(_) | Act::Trim | Act::Visit(_) | Act::Promote(_) => {}
        }
    }
    Vec::from_slice(orders.list()).expect("as many as there were")
}

/// Two hundred turns that see the same: the last 150 give no orders.
pub fn settles(policy: &mut impl Policy, dials: &Dials, seen: &Seen) {
    for turn in 0..200 {
        let orders = take(policy, dials, seen);
        assert!(turn < 50 || orders.is_empty(), "turn {turn}: {orders:?}");
    }
}
