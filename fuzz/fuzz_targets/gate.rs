//! Any address at the gate: free, realloc and usable size of live and freed blocks, their insides and
//! neighbours, edges of units, and addresses that are not the heap's. The heap answers each with the
//! truth, and is unharmed.
#![no_main]

use ace_alloc::geometry::{Host, HostTail, Small};
use ace_alloc_fuzz::attack::{Act, Raid};
use ace_alloc_fuzz::script::Stand;
use ace_alloc_fuzz::world::World;
use ace_alloc_tests::platforms::Shape;
use libfuzzer_sys::fuzz_target;

fn play<G: Shape>(acts: &[Act]) {
    let mut world = World::<G>::new();
    for &act in acts {
        world.step(act);
    }
    world.finish();
}

fuzz_target!(|raid: Raid| {
    match raid.stand {
        Stand::Host => play::<Host>(&raid.acts),
        Stand::HostTail => play::<HostTail>(&raid.acts),
        Stand::Small => play::<Small>(&raid.acts),
    }
});
