//! Agents that move and meet: the next use is the end of their own action or the next meeting, whichever
//! is first. The end is known, the meeting is guessed as distance divided by velocity.

use super::{Hint, Size, Trace, fraction, shuffle};
use ace_alloc_cuda::{
    distance::{DistanceSource, NextUse, Source, Space},
    random::Random,
    state::AgentId,
};

/// Side of the square of 400 agents, which has no edges: chosen so that about a third of the uses are
/// meetings. With more agents the square is larger, so that they are as close.
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

/// A square without edges, in cells as large as one can see: who is seen is in a cell beside one's own.
struct Square {
    side: f64,
    cells: usize,
    /// Walkers by cell, row by row.
    inside: Vec<Vec<usize>>,
}

impl Square {
    fn new(agents: u32) -> Self {
        let side = SIDE * (f64::from(agents) / 400.0).sqrt();
        let cells = ((side / SEEN) as usize).max(1);
        Self { side, cells, inside: vec![Vec::new(); cells * cells] }
    }

    fn cell(&self, place: f64) -> usize {
        ((place / self.side * self.cells as f64) as usize).min(self.cells - 1)
    }

    fn arrange(&mut self, walkers: &[Walker]) {
        self.inside.iter_mut().for_each(Vec::clear);
        for (number, walker) in walkers.iter().enumerate() {
            let [row, column] = walker.place.map(|place| self.cell(place));
            self.inside[row * self.cells + column].push(number);
        }
    }

    /// Everyone in the cell of a place and in those around it.
    fn around(&self, place: [f64; 2]) -> impl Iterator<Item = usize> {
        let cells = self.cells;
        // Of fewer than three cells in a row, all are beside one another.
        let beside = move |cell: usize| {
            let first = if cells < 3 { 0 } else { cell + cells - 1 };
            (first..first + cells.min(3)).map(move |cell| cell % cells)
        };
        let [row, column] = place.map(|place| self.cell(place));
        let around =
            beside(row).flat_map(move |row| beside(column).map(move |column| row * cells + column));
        around.flat_map(|cell| &self.inside[cell]).copied()
    }

    /// Difference on a ring.
    fn apart(&self, one: f64, other: f64) -> f64 {
        let difference = (other - one).rem_euclid(self.side);
        if difference > self.side / 2.0 { difference - self.side } else { difference }
    }

    /// Distance to the nearest that comes closer, and how fast it does.
    fn nearest(&self, walkers: &[Walker], own: usize) -> Option<(f64, f64)> {
        let me = &walkers[own];
        let others = self.around(me.place).filter(|other| *other != own);
        let approaches = others.filter_map(|other| {
            let other = &walkers[other];
            let way = [0, 1].map(|axis| self.apart(me.place[axis], other.place[axis]));
            let distance = way[0].hypot(way[1]);
            let along = (0..2).map(|axis| way[axis] * (me.velocity[axis] - other.velocity[axis]));
            let closing = along.sum::<f64>() / distance.max(1e-9);
            (distance < SEEN && closing > 0.1).then_some((distance, closing))
        });
        approaches.min_by(|one, other| (one.0 / one.1).total_cmp(&(other.0 / other.1)))
    }
}

/// See the module's documentation.
#[must_use]
pub fn interaction(size: Size, seed: u64) -> Trace {
    let mut random = Random::new(seed);
    let mut trace = Trace::new("interaction", size, &mut random);
    let mut square = Square::new(size.agents);
    let mut walkers: Vec<Walker> = (0..size.agents)
        .map(|_| {
            let mean = 3 + random.below(15);
            Walker {
                place: [0, 1].map(|_| fraction(&mut random) * square.side),
                velocity: [0, 1].map(|_| (fraction(&mut random) * 2.0 - 1.0) * FASTEST),
                ends_at: random.below(2 * mean),
                mean,
            }
        })
        .collect();
    let mut space = Space::default();
    for (number, step) in (0u64..).zip(&mut trace.steps) {
        square.arrange(&walkers);
        for own in 0..walkers.len() {
            let (agent, met) = (own as u32, square.nearest(&walkers, own));
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
                let place = walker.place[axis] + walker.velocity[axis];
                walker.place[axis] = place.rem_euclid(square.side);
            }
        }
        shuffle(&mut step.requests, &mut random);
    }
    trace
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_seen_is_found_in_the_cells_beside_ones_own() {
        let mut random = Random::new(9);
        for agents in [1, 2, 3, 10, 100, 400, 1000] {
            let mut square = Square::new(agents);
            let place = |random: &mut Random| [0, 1].map(|_| fraction(random) * square.side);
            let walkers: Vec<Walker> = (0..agents)
                .map(|_| Walker {
                    place: place(&mut random),
                    velocity: [0, 1].map(|_| fraction(&mut random) - 0.5),
                    ends_at: 0,
                    mean: 1,
                })
                .collect();
            square.arrange(&walkers);
            for walker in &walkers {
                let mut around: Vec<usize> = square.around(walker.place).collect();
                around.sort_unstable();
                assert!(around.windows(2).all(|pair| pair[0] != pair[1]), "nobody twice");
                for (other, far) in walkers.iter().enumerate() {
                    let way = [0, 1].map(|axis| square.apart(walker.place[axis], far.place[axis]));
                    let seen = way[0].hypot(way[1]) < SEEN;
                    assert!(!seen || around.binary_search(&other).is_ok(), "{agents} agents");
                }
            }
        }
    }
}
