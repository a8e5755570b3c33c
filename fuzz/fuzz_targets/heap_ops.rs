//! The whole heap against its shadow: any sequence of steps, on every geometry, with threads that come
//! and go and a provider that fails. In the end everything was freed and nothing is left.
#![no_main]

use ace_alloc::geometry::{Host, HostTail, Small};
use ace_alloc_fuzz::script::{Script, Stand};
use ace_alloc_tests::platforms::Shape;
use ace_alloc_tests::script::{Op, Stage};
use libfuzzer_sys::fuzz_target;

fn play<G: Shape>(steps: &[Op]) {
    let mut stage = Stage::<G>::new();
    stage.play(steps);
    stage.shadow.check_all();
    stage.finish();
}

fuzz_target!(|script: Script| {
    match script.stand {
        Stand::Host => play::<Host>(&script.steps),
        Stand::HostTail => play::<HostTail>(&script.steps),
        Stand::Small => play::<Small>(&script.steps),
    }
});
