//! Whatever the policies see, what they order is in bounds, and it ceases when nothing changes any more.

use ace_alloc::ace::{Ace, Act, ClassSeen, Levels, Order, Orders, Reason, Seen};
use ace_alloc::dials::{ClassDial, Dial, Dials, Spec};
use ace_alloc::size_class::SizeClass;
use ace_alloc::stats::Events;
use proptest::prelude::*;

/// Orders of one turn, at most.
const ORDERS: usize = 64;
/// Turns that see the same until orders must have ceased: back-offs double up to 256 s.
const TURNS: usize = 2000;

/// Small, ordinary and absurd amounts.
fn count() -> impl Strategy<Value = u32> {
    prop_oneof![4 => Just(0), 4 => 0..200_u32, 2 => 0..1_000_000_u32, 1 => any::<u32>(), 1 => Just(u32::MAX)]
}

fn amount() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..1_u64 << 34, 4 => 0..1000_u64, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

prop_compose! {
    fn events()(counts in prop::array::uniform15(amount())) -> Events {
        Events::of(counts)
    }
}

prop_compose! {
    fn levels()(bytes in prop::array::uniform6(amount()), counts in prop::array::uniform7(count())) -> Levels {
        Levels {
            committed_bytes: bytes[0],
            used_bytes: bytes[1],
            dirty_bytes: bytes[2],
            dirty_low_bytes: bytes[3],
            huge_bytes: bytes[4],
            rss_bytes: (bytes[5] % 2 == 0).then_some(bytes[5]),
            live: counts[0],
            draining: counts[1],
            drained: counts[2],
            revived: counts[3],
            promoted: counts[4],
            room_permille: counts[5],
            threads: counts[6],
        }
    }
}

prop_compose! {
    fn seen()(
        times in (amount(), prop_oneof![4 => Just(20_u64), 2 => 0..5000_u64, 1 => any::<u64>()]),
        events in events(),
        // Classes that did something, by number.
        acts in prop::collection::vec((0..SizeClass::COUNT, prop::array::uniform4(count())), 0..40),
        levels in levels(),
        rooms in prop_oneof![4 => Just(None), 1 => any::<u8>().prop_map(Some)],
        slots in prop_oneof![4 => Just(127_u8), 1 => 0..=127_u8],
        superslab_bytes in prop_oneof![4 => Just(4_usize << 20), 1 => any::<usize>()],
        counts in prop::array::uniform6(count()),
    ) -> Seen {
        let mut seen = Seen::new();
        (seen.now_ms, seen.span_ms) = times;
        (seen.events, seen.levels, seen.slots) = (events, levels, slots);
        seen.superslab_bytes = superslab_bytes;
        for class in SizeClass::all() {
            let most = if class.bytes() > SizeClass::TINY_MAX { 64 } else { 127 };
            let host = u8::try_from(((512 << 10) / class.bytes()).min(most)).expect("below 128");
            seen.rooms[class.index()] = rooms.unwrap_or(host);
        }
        for (class, [refills, overflows, parcels, sent]) in acts {
            seen.classes[class] = ClassSeen { refills, overflows, parcels, sent };
        }
        (seen.began, seen.ended, seen.asleep) = (counts[0], counts[1], counts[2]);
        (seen.denied, seen.grown_units, seen.dropped) = (counts[3], counts[4], counts[5]);
        seen
    }
}

prop_compose! {
    fn dials()(
        values in prop::collection::vec((0..Dial::COUNT, any::<u32>()), 0..6),
        caps in prop::collection::vec((0..SizeClass::USED, any::<u8>()), 0..6),
    ) -> Dials {
        let dials = Dials::new();
        for (dial, value) in values {
            dials.set(Dial::ALL[dial], value);
        }
        for (class, cap) in caps {
            dials.set_of_class(SizeClass::new(class), ClassDial::Cap, cap);
        }
        dials
    }
}

/// One turn. Its orders are looked at, and carried out if `applied`.
fn turn(ace: &mut Ace, seen: &Seen, dials: &Dials, applied: bool) -> Vec<Order> {
    let mut orders = Orders::new();
    ace.turn(seen, dials, &mut orders);
    assert!(orders.list().len() <= ORDERS);
    for order in orders.list() {
        assert!(!order.reason.sentence().is_empty());
        match order.act {
            Act::Set(dial, value) => {
                assert_eq!(dial.clamp(value), value, "{order:?}");
                assert_ne!(dials.get(dial), value, "{order:?} changes nothing");
                if applied {
                    dials.set(dial, value);
                }
            }
            Act::SetClass(class, dial, value) => {
                assert!(value <= dial.max(), "{order:?}");
                assert_ne!(dials.of_class(class, dial), value, "{order:?} changes nothing");
                if applied {
                    dials.set_of_class(class, dial, value);
                }
            }
            Act::Visit(some) | Act::Promote(some) => assert!((1..=4).contains(&some), "{order:?}"),
            Act::Purge(_) | Act::Trim => {}
        }
    }
    orders.list().to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_seen_orders_are_in_bounds(
        stream in prop::collection::vec((seen(), 1..40_usize), 1..20),
        dials in dials(),
        applied in any::<bool>(),
    ) {
        let mut ace = Ace::new();
        for (seen, times) in &stream {
            for _ in 0..*times {
                turn(&mut ace, seen, &dials, applied);
            }
        }
    }

    #[test]
    fn whatever_was_seen_dials_come_to_rest(
        stream in prop::collection::vec((seen(), 1..40_usize), 1..10),
        mut last in seen(),
    ) {
        let (mut ace, dials) = (Ace::new(), Dials::new());
        for (seen, times) in &stream {
            for _ in 0..*times {
                turn(&mut ace, seen, &dials, true);
            }
        }
        last.span_ms = 20;
        // Memory that is given back and wanted again, or refused, at every turn is no steady state.
        last.denied = 0;
        (last.events.purged_bytes, last.events.refaulted_bytes) = (0, 0);
        for number in 0..TURNS {
            last.now_ms = last.now_ms.wrapping_add(20);
            let orders = turn(&mut ace, &last, &dials, true);
            let turned = orders.iter().find(|order| matches!(order.act, Act::Set(..) | Act::SetClass(..)));
            prop_assert!(number < TURNS - 150 || turned.is_none(), "turn {}: {:?}", number, turned);
        }
    }
}

#[test]
fn the_tables_of_dials_and_reasons_in_docs_are_the_codes() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ACE.md");
    let page = std::fs::read_to_string(file).expect("docs/ACE.md");
    for &dial in Dial::ALL {
        let Spec { name, min, max, first, doc } = *dial.spec();
        let row = format!("| `{name}` | {min} to {max} | {first} | {doc} |");
        assert!(page.contains(&row), "docs/ACE.md lacks: {row}");
    }
    for reason in Reason::ALL {
        let row = format!("| `{}` | {} |", reason.code(), reason.sentence());
        assert!(page.contains(&row), "docs/ACE.md lacks: {row}");
    }
}
