//! Agents that move and meet: the next use is the end of their own action or the next meeting, whichever
//! is first. The end is known, the meeting is guessed as distance divided by velocity.

use super::{Hint, Size, Trace, fraction, shuffle};
use ace_alloc_cuda::{
    distance::{DistanceSource, NextUse, Source, Space},
    random::Random,
    state::AgentId,
};

/// Side of the square, which has no edges: chosen so that about a third of the uses are meetings.
const SIDE: f64 = 1000.0;
/// Agents that come as near as this meet.
const NEAR: f64 = 12.0;
const FASTEST: f64 = 6.0;
/// A guess further ahead than this is none.
const SEEN: f64 = 80.0;

struct Walker {
    place: [f64; 2],
    velocity: [f64; 2],
    ends_at: u64,
    mean: u64,
}

/// Difference on a ring.
fn apart(one: f64, other: f64) -> f64 {
    let difference = (other - one).rem_euclid(SIDE);
    if difference > SIDE / 2.0 { difference - SIDE } else { difference }
}

/// Distance to the nearest that comes closer, and how fast it does.
fn nearest(walkers: &[Walker], own: usize) -> Option<(f64, f64)> {
    let me = &walkers[own];
    let others = walkers.iter().enumerate().filter(|(other, _)| *other != own);
    let approaches = others.filter_map(|(_, other)| {
        let way = [0, 1].map(|axis| apart(me.place[axis], other.place[axis]));
        let distance = way[0].hypot(way[1]);
        let along = (0..2).map(|axis| way[axis] * (me.velocity[axis] - other.velocity[axis]));
        let closing = along.sum::<f64>() / distance.max(1e-9);
        (distance < SEEN && closing > 0.1).then_some((distance, closing))
    });
    approaches.min_by(|one, other| (one.0 / one.1).total_cmp(&(other.0 / other.1)))
}

/// See the module's documentation.
#[must_use]
pub fn interaction(size: Size, seed: u64) -> Trace {
    let mut random = Random::new(seed);
    let mut trace = Trace::new("interaction", size, &mut random);
    let mut walkers: Vec<Walker> = (0..size.agents)
        .map(|_| {
            let mean = 3 + random.below(15);
            Walker {
                place: [0, 1].map(|_| fraction(&mut random) * SIDE),
                velocity: [0, 1].map(|_| (fraction(&mut random) * 2.0 - 1.0) * FASTEST),
                ends_at: random.below(2 * mean),
                mean,
            }
        })
        .collect();
    let mut space = Space::default();
    for (number, step) in (0u64..).zip(&mut trace.steps) {
        for own in 0..walkers.len() {
            let (agent, met) = (own as u32, nearest(&walkers, own));
            let meets = met.is_some_and(|(distance, _)| distance < NEAR);
            let id = AgentId(own as u64);
            match met {
                Some((distance, closing)) if !meets => {
                    let (distance, closing) = ((distance - NEAR) * 1000.0, closing * 1000.0);
                    space.approach(id, number, distance as u64, closing as u64);
                }
                _ => space.forget(id),
            }
            if meets || walkers[own].ends_at == number {
                step.requests.push(agent);
                let mean = walkers[own].mean;
                walkers[own].ends_at = number + (mean / 2 + random.below(mean + 1)).max(1);
            }
            let ends_at = NextUse::at(walkers[own].ends_at);
            let guess = space.next_use(id, number);
            let space = guess.map(|next_use| Hint { agent, source: Source::Space, next_use });
            let plan = Hint { agent, source: Source::Plan, next_use: ends_at };
            let used = step.requests.last() == Some(&agent);
            let hints = if used { &mut step.after } else { &mut step.before };
            hints.extend(space.into_iter().chain([plan]));
        }
        for walker in &mut walkers {
            for axis in 0..2 {
                walker.place[axis] = (walker.place[axis] + walker.velocity[axis]).rem_euclid(SIDE);
            }
        }
        shuffle(&mut step.requests, &mut random);
    }
    trace
}
