//! Owns the time of a trace: the heap is filled, stirred, and then the clock runs.

use crate::heap::Heap;
use crate::replay::{Plain, Replay};
use crate::trace::{Step, Trace};
use ace_bench_peers::clock;
use serde_json::{Value, json};

/// A heap that needs longer than this to be stirred is timed as it is then: full, and stirred less.
const STIR_NS: u64 = 1_000_000_000;
/// A heap that needs longer than this for the rest is timed over what it did.
const TIMED_NS: u64 = 400_000_000;
/// Steps between two looks at the clock.
const STRETCH: usize = 500;

/// Replays the trace: nanoseconds of the timed steps that were made, and how many steps were made of
/// those that stir and those that are timed.
pub fn run<H: Heap>(trace: &Trace) -> Value {
    let mut replay = Replay::<H>::new(trace);
    let (warm_up, timed) = trace.steps.split_at(trace.warm_up);
    let (fill, stir) = warm_up.split_at(trace.fill);
    replay.go(fill, &mut Plain);
    let (stirred, _) = go(&mut replay, stir, STIR_NS);
    let before = (replay.asked, replay.failed);
    let (made, ns) = go(&mut replay, timed, TIMED_NS);
    let (asked, failed) = (replay.asked - before.0, replay.failed - before.1);
    let planned = stir.len() + timed.len();
    json!({
        "ns": ns, "asked": asked, "failed": failed,
        "made": stirred + made, "planned": planned, "live_bytes": replay.live_bytes(),
    })
}

/// Steps that were made, and their nanoseconds.
fn go<H: Heap>(replay: &mut Replay<H>, steps: &[Step], patience: u64) -> (usize, u64) {
    let (start, mut made) = (clock::now_ns(), 0);
    for stretch in steps.chunks(STRETCH) {
        replay.go(stretch, &mut Plain);
        made += stretch.len();
        if clock::now_ns() - start > patience {
            break;
        }
    }
    (made, clock::now_ns() - start)
}
