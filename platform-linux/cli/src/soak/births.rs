//! Threads that come and go: young ones whose blocks outlive them, and ones that only free. Floor: tool.

use super::{actor::Actor, block::Promise, floor::Floor};
use std::{
    thread::{self, Builder, Scope, ScopedJoinHandle},
    time::Duration,
};

/// Small, as in programs with thousands of threads; the pattern checks need little.
const STACK_BYTES: usize = 256 << 10;
const MOST_AT_ONCE: usize = 6;
const MOST_BLOCKS: usize = 300;
/// Rounds after which a thread that only frees makes place for the next.
const REAPINGS: u32 = 2000;
const NOTHING_TO_REAP: Duration = Duration::from_millis(1);

/// Some threads live at the same time and are gone when this returns.
pub fn burst(parent: &mut Actor) -> Promise<()> {
    let floor = parent.floor;
    let count = parent.random.usize(1..=MOST_AT_ONCE);
    thread::scope(|scope| {
        let mut started = Vec::new();
        for _ in 0..count {
            // What a parent hands to its child, the child frees.
            let from = parent.mine.len().saturating_sub(parent.random.usize(..32));
            let handed = parent.mine.split_off(from);
            started.push(start(scope, move || {
                let mut young = Actor::new(floor);
                young.mine = handed;
                let lived = live_shortly(&mut young);
                young.settle(lived);
            })?);
        }
        join(started);
        Ok(())
    })
}

fn live_shortly(young: &mut Actor) -> Promise<()> {
    young.free_all("in a child's hands")?;
    for _ in 0..young.random.usize(..=MOST_BLOCKS) {
        young.ask()?;
    }
    young.resize()?;
    let half = young.mine.len() / 2;
    young.leave(half)?;
    young.free_all("before its thread ends")
}

/// Frees what the others leave on the shelf, and nothing else, in one thread after the other.
pub fn reapers(floor: &Floor) {
    while !floor.is_done() {
        let generation = thread::scope(|scope| {
            let reaper = start(scope, || {
                let mut reaper = Actor::new(floor);
                for _ in 0..REAPINGS {
                    let reaped = reaper.reap();
                    if floor.is_done() {
                        break;
                    }
                    if reaped == Ok(0) || floor.is_idle() {
                        thread::sleep(NOTHING_TO_REAP);
                    }
                    reaper.settle(reaped.map(|_| ()));
                }
                reaper.settle(Ok(()));
            })?;
            join(vec![reaper]);
            Ok(())
        });
        if let Err(what) = generation {
            floor.find(what);
        }
    }
}

/// Starts a thread with a small stack.
pub fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() + Send + 'scope,
) -> Promise<ScopedJoinHandle<'scope, ()>> {
    let builder = Builder::new().stack_size(STACK_BYTES);
    builder.spawn_scoped(scope, work).map_err(|error| format!("no thread can be started: {error}"))
}

/// Waits until threads are gone, their key destructors included, in which the allocator gives up their
/// heaps. (The end of a scope waits for their closures only.)
pub fn join(threads: Vec<ScopedJoinHandle<'_, ()>>) {
    for thread in threads {
        // A panic would have aborted the process.
        let _ = thread.join();
    }
}
