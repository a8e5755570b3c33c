//! Owns the time of a trace: warm-up, then as many steps as there are or as fit in less than a second.

use crate::heap::{Arena, Heap};
use crate::replay::{Plain, Replay};
use crate::trace::{Step, Trace};
use crate::usable;
use ace_bench_peers::clock;
use serde_json::{Value, json};

/// A heap that needs longer than this for a part of the trace is timed over what it did.
const PATIENCE_NS: u64 = 400_000_000;
/// Steps between two looks at the clock.
const STRETCH: usize = 2000;

/// Replays the trace; nanoseconds a request, of which each but the first ones frees a block too.
pub fn run<H: Heap>(trace: &Trace) -> Value {
    let mut replay = Replay::<H>::new(trace);
    let (warm_up, timed) = trace.steps.split_at(trace.warm_up);
    go(&mut replay, warm_up);
    let before = (replay.asked, replay.failed);
    let ns = go(&mut replay, timed);
    let (asked, failed) = (replay.asked - before.0, replay.failed - before.1);
    json!({ "ns": ns, "asked": asked, "failed": failed, "live_bytes": replay.live_bytes() })
}

/// Replays the trace, however long it takes: then, which block could be had, and how much was free.
pub fn fragments<H: Heap>(arena: Arena, trace: &Trace) -> Value {
    let mut replay = Replay::<H>::new(trace);
    replay.go(&trace.steps, &mut Plain);
    let free = arena.bytes - replay.live_bytes();
    let largest = usable::largest::<H>(arena.bytes);
    json!({ "free": free, "largest": largest, "asked": replay.asked, "failed": replay.failed })
}

/// Nanoseconds of the steps that were made.
fn go<H: Heap>(replay: &mut Replay<H>, steps: &[Step]) -> u64 {
    let start = clock::now_ns();
    for stretch in steps.chunks(STRETCH) {
        replay.go(stretch, &mut Plain);
        if clock::now_ns() - start > PATIENCE_NS {
            break;
        }
    }
    clock::now_ns() - start
}
