//! The region heap against its shadow, on every scale, over one region or several from odd addresses. In the end
//! everything was freed and the heap is as on its first day.
#![no_main]

use ace_alloc_fuzz::region::Plan;
use ace_alloc_tests::regions::play;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|plan: Plan| {
    play(plan.scale, &plan.regions, &plan.steps, 0);
});
