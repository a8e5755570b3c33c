//! The whole heap against its shadow while anything is ordered of it: no order changes a result, and in
//! the end everything was freed and nothing is left.
#![no_main]

use ace_alloc::Dials;
use ace_alloc::ace::{Ace, Orders, Policy, Seen};
use ace_alloc::geometry::{Host, HostTail, Small};
use ace_alloc_fuzz::orders::{Ordered, Turn};
use ace_alloc_fuzz::script::Stand;
use ace_alloc_tests::platforms::Shape;
use ace_alloc_tests::script::Stage;
use libfuzzer_sys::fuzz_target;

/// The orders of the script, and then ACE's own.
struct Both<'a>(&'a mut Turn, &'a mut Ace);

impl Policy for Both<'_> {
    fn decide(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        self.0.decide(seen, dials, orders);
        self.1.turn(seen, dials, orders);
    }
}

fn play<G: Shape>(mut script: Ordered) {
    let mut stage = Stage::<G>::new();
    stage.null_is_fine = script.refuses_memory();
    let mut ace = Ace::new();
    for (steps, turn) in &mut script.parts {
        stage.play(steps);
        if script.with_ace {
            stage.turn_with(turn.now_ms, &mut Both(turn, &mut ace));
        } else {
            stage.turn_with(turn.now_ms, turn);
        }
    }
    stage.shadow.check_all();
    stage.finish();
}

fuzz_target!(|script: Ordered| {
    match script.stand {
        Stand::Host => play::<Host>(script),
        Stand::HostTail => play::<HostTail>(script),
        Stand::Small => play::<Small>(script),
    }
});
