//! The process that is soaked: its `malloc` is the library's. Floor: tool.
//!
//! Its own records (vectors, thread handles) live in the heap of `ace`, so that what the library counts
//! as live is the soak's blocks and the few of the C library.

use super::{
    Args,
    actor::Actor,
    births,
    block::Promise,
    floor::Floor,
    fork::Forker,
    memory,
    message::{Account, Message, say},
    mix::Mix,
};
use crate::{Trouble, stop};
use fastrand::Rng;
use std::{
    thread::{self, Scope, ScopedJoinHandle},
    time::{Duration, Instant},
};

const TICK: Duration = Duration::from_millis(20);
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// Batches of the nurse between two bursts of births.
const BATCHES_A_BIRTH: u32 = 4;

/// A phase: its share of a cycle in percent, how full memory shall be, and whether to rest.
const PHASES: [(u32, usize, bool); 4] =
    [(35, 90, false), (30, 60, false), (15, 5, false), (20, 5, true)];
const SHORTEST_CYCLE: Duration = Duration::from_millis(500);
const LONGEST_CYCLE: Duration = Duration::from_secs(12);
/// A soak has at least as many cycles as this, so that even a short one meets every mix.
const CYCLES: u32 = 8;

/// Soaks the library that is loaded, and tells on standard output what happens.
pub fn work(args: &Args) -> Result<u8, Trouble> {
    stop::listen();
    say(&Message::Begun { malloc_is_in: memory::malloc_is_in()? });
    let before = memory::held()?;
    let floor = Floor::new(args.memory, args.seed);
    thread::scope(|scope| {
        let mut started = Vec::new();
        if let Err(what) = start_all(scope, &mut started, &floor, args) {
            floor.find(what);
        }
        conduct(&floor, args.length());
        floor.end();
        births::join(started);
    });
    let mut last = Actor::new(&floor);
    last.mine = floor.clear_shelf();
    let all_free = last.free_all("from the shelf, at the end");
    last.settle(all_free);
    drop(last);
    let progress = floor.progress(memory::resident_bytes());
    let after = memory::held()?;
    let peak_resident_bytes = memory::peak_resident_bytes();
    say(&Message::Ended(Account { progress, peak_resident_bytes, before, after }));
    Ok(0)
}

/// One thread whose children come and go, one that forks, one that only frees; the others just act.
fn start_all<'scope>(
    scope: &'scope Scope<'scope, '_>,
    started: &mut Vec<ScopedJoinHandle<'scope, ()>>,
    floor: &'scope Floor,
    args: &Args,
) -> Promise<()> {
    started.push(births::start(scope, || {
        let mut batches = 0;
        Actor::new(floor).live(|nurse| {
            batches += 1;
            if batches % BATCHES_A_BIRTH == 0 { births::burst(nurse) } else { Ok(()) }
        });
    })?);
    let mut forker = Forker::new(args.patience());
    started
        .push(births::start(scope, move || Actor::new(floor).live(|actor| forker.perhaps(actor)))?);
    started.push(births::start(scope, || births::reapers(floor))?);
    for _ in 3..args.threads() {
        started.push(births::start(scope, || Actor::new(floor).live(|_| Ok(())))?);
    }
    Ok(())
}

/// Goes through the phases, trims, and reports, until the time is over or somebody says stop.
fn conduct(floor: &Floor, length: Duration) {
    let mut random = floor.random(u64::MAX);
    let cycle = (length / CYCLES).clamp(SHORTEST_CYCLE, LONGEST_CYCLE);
    let begin = Instant::now();
    let mut reported = begin;
    while begin.elapsed() < length && stop::asked() == 0 && !floor.is_done() {
        begin_phase(floor, begin.elapsed().div_duration_f64(cycle));
        trim_perhaps(&mut random);
        if reported.elapsed() >= PROGRESS_EVERY {
            reported = Instant::now();
            say(&Message::Progress(floor.progress(memory::resident_bytes())));
        }
        thread::sleep(TICK);
    }
}

/// `cycles`: how many went by, with a fraction.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
fn begin_phase(floor: &Floor, cycles: f64) {
    let mix = Mix::ALL[cycles as usize % Mix::ALL.len()];
    let mut percent = (cycles.fract() * 100.0) as u32;
    for (share, full, idle) in PHASES {
        if percent < share {
            return floor.begin_phase(mix, full, idle);
        }
        percent -= share;
    }
}

/// Once in about half a second, somebody gives memory back or asks for statistics while all are busy.
fn trim_perhaps(random: &mut Rng) {
    let (turn, keep) = (random.u32(0..64), random.usize(..64 << 20));
    // SAFETY: the calls have no preconditions.
    unsafe {
        match turn {
            0 => _ = libc::malloc_trim(0),
            1 => _ = libc::malloc_trim(keep),
            2 => _ = libc::mallinfo(),
            _ => {}
        }
    }
}
