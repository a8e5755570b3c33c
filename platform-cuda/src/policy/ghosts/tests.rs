//! Tests of the ghosts. Floor: test.

use super::*;
use crate::distance::NextUse;

fn seen(use_order: u64, hinted: u64) -> Seen {
    Seen {
        bytes: 1,
        reload_ns: 1000,
        recompute_ns: None,
        use_order,
        load_order: 0,
        hinted: NextUse::at(hinted),
        own: NextUse::UNKNOWN,
    }
}

/// States 0 to 3 are used in turn, one a step, with room for `room`; each hint is `ahead` steps away.
fn in_turn(room: u64, ahead: u64) -> Ghosts {
    let mut ghosts = Ghosts::new();
    ghosts.set_budget(room);
    for step in 0..400u64 {
        ghosts.step(step);
        let slot = u32::try_from(step % 4).expect("below 4");
        ghosts.use_it(slot);
        ghosts.change(slot, &seen(step + 1, step + ahead));
    }
    ghosts
}

fn there(ghosts: &Ghosts, view: usize) -> Vec<u32> {
    let places = (0u32..).take(ghosts.sample.len());
    places.filter(|place| ghosts.ghosts[view].there.key(*place).is_some()).collect()
}

#[test]
fn an_order_that_would_have_cost_less_costs_less() {
    // In a cycle longer than the memory, the nearest next use is that of what was used longest ago.
    let ghosts = in_turn(3, 4);
    let (hinted, recent) = (ghosts.cost(0), ghosts.cost(2));
    assert!(hinted * 2 < recent, "right hints: {hinted} against {recent}");
    let (hinted, own) = (ghosts.cost(0), ghosts.cost(1));
    assert!(hinted * 2 < own, "what nobody predicts is as recent: {own}");
}

#[test]
fn what_fits_costs_nothing_whatever_is_said() {
    for ahead in [0, 1, 4, 1000] {
        let ghosts = in_turn(4, ahead);
        (0..VIEWS.len()).for_each(|view| assert_eq!(ghosts.cost(view), 0));
        (0..VIEWS.len()).for_each(|view| assert_eq!(there(&ghosts, view), [0, 1, 2, 3]));
    }
}

#[test]
fn nobody_holds_more_than_the_budget() {
    for room in 0..4 {
        let mut ghosts = in_turn(room, 4);
        ghosts.step(400);
        for view in 0..VIEWS.len() {
            assert_eq!(there(&ghosts, view).len() as u64, room);
            assert_eq!(ghosts.ghosts[view].bytes, room);
        }
    }
}

#[test]
fn what_is_gone_is_nowhere_and_its_number_is_another_state() {
    let mut ghosts = in_turn(4, 4);
    ghosts.forget(2);
    ghosts.step(400);
    for view in 0..VIEWS.len() {
        assert_eq!(there(&ghosts, view), [0, 1, 3]);
        assert_eq!(ghosts.ghosts[view].bytes, 3);
    }
    ghosts.change(2, &seen(0, 500));
    ghosts.use_it(2);
    ghosts.forget(2);
    ghosts.step(401);
    (0..VIEWS.len()).for_each(|view| assert_eq!(ghosts.cost(view), 0, "not even a first use"));
}

#[test]
fn costs_fade() {
    let mut ghosts = in_turn(3, 4);
    let before = ghosts.cost(2);
    ghosts.set_budget(4);
    for step in 400..400 + 4 * WINDOW {
        ghosts.step(step);
        ghosts.use_it(u32::try_from(step % 4).expect("below 4"));
    }
    assert!(ghosts.cost(2) * 20 < before, "{} of {before}", ghosts.cost(2));
}

#[test]
fn of_many_a_few_are_looked_at_and_the_budget_is_as_much_smaller() {
    const COUNT: u32 = 100_000;
    let mut ghosts = Ghosts::new();
    ghosts.set_budget(u64::from(COUNT) / 4);
    for slot in 0..COUNT {
        ghosts.change(slot, &seen(0, 1));
    }
    let sampled = ghosts.sample.len() - ghosts.free.len();
    assert!((MOST_SAMPLED / 2 - 100..MOST_SAMPLED).contains(&sampled), "{sampled}");
    for slot in 0..COUNT {
        ghosts.use_it(slot);
    }
    ghosts.step(1);
    let share = there(&ghosts, 2).len() as f64 / sampled as f64;
    assert!((0.2..0.3).contains(&share), "a quarter is there: {share}");
}
