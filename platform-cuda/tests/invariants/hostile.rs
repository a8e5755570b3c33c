//! A hostile source: what is used next is predicted last. Equal sizes, one request a step, as in the theory
//! of paging.

use super::shadow::Plain;
use ace_alloc_cuda::{
    distance::{NextUse, Source},
    planner::{Event, Handle, Planner, Settings},
    policy::{Distance, Guard, Policy},
    random::Random,
    state::AgentId,
};

/// Room for so many states.
const ROOM: u64 = 8;

struct World {
    planner: Planner,
    states: Vec<Handle>,
    step: u64,
}

impl World {
    fn new(policy: Box<dyn Policy>, count: u64) -> Self {
        let settings = Settings { budget_bytes: ROOM, chunk_bytes: 1, chunks_in_flight: 1 };
        let mut planner = Planner::new(policy, settings);
        let plain = |id| Plain {
            id,
            owners: vec![AgentId(id)],
            bytes: 1,
            on_host: true,
            recompute_ns: None,
        };
        let states = (0..count).map(|id| planner.register(&plain(id)).expect("sound")).collect();
        Self { planner, states, step: 0 }
    }

    /// One request, with these predictions before it.
    fn request(&mut self, wanted: u64, predicted: impl Fn(u64) -> u64) {
        self.step += 1;
        self.tell(Event::Step(self.step));
        for id in 0..self.states.len() as u64 {
            let next_use = NextUse::at(self.step + predicted(id));
            self.tell(Event::Expect { agent: AgentId(id), source: Source::Hint, next_use });
        }
        let state = self.states[wanted as usize];
        self.tell(Event::Begin { state, agent: AgentId(wanted) });
        while let Some(action) = self.planner.decide() {
            self.tell(Event::Applied { action, result: Ok(()) });
        }
        self.tell(Event::End { state });
    }

    fn tell(&mut self, event: Event) {
        self.planner.observe(event).unwrap_or_else(|error| panic!("{event:?}: {error:?}"));
    }
}

/// Two states in turn, predicted far away; all others, which nobody wants, are predicted near.
fn misses(policy: Box<dyn Policy>, requests: u64) -> u64 {
    let mut world = World::new(policy, ROOM + 1);
    for id in 0..ROOM - 1 {
        world.request(id, |_| 1);
    }
    for number in 0..requests {
        let wanted = ROOM - 1 + number % 2;
        world.request(wanted, |id| if id >= ROOM - 1 { 500 } else { 1 });
    }
    world.planner.totals().misses
}

/// Harmonic number.
fn harmonic(count: u64) -> f64 {
    (1..=count).map(|at| 1.0 / at as f64).sum()
}

#[test]
fn hostile_predictions_ruin_who_trusts_them_and_not_the_guard() {
    const REQUESTS: u64 = 400;
    // The states are loaded once each; then one of the unwanted ones goes, for good.
    let optimum = ROOM + 1;
    assert_eq!(misses(Box::new(Distance), REQUESTS), ROOM - 1 + REQUESTS);
    let bound = (2.0 * harmonic(ROOM - 1) + 2.0) * optimum as f64;
    let mean =
        (0..50).map(|seed| misses(Box::new(Guard::new(seed)), REQUESTS)).sum::<u64>() as f64 / 50.0;
    assert!(mean <= bound, "{mean} misses on average, bound {bound}");
}

#[test]
fn with_right_predictions_the_guard_is_as_good_as_belady() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let requests: Vec<u64> = (0..300).map(|_| random.below(2 * ROOM)).collect();
        let run = |policy: Box<dyn Policy>| {
            let mut world = World::new(policy, 2 * ROOM);
            for (at, wanted) in requests.iter().enumerate() {
                let next = |id: u64| {
                    let ahead = requests[at..].iter().position(|other| *other == id);
                    ahead.map_or(5000, |ahead| ahead as u64)
                };
                world.request(*wanted, next);
            }
            world.planner.totals().misses
        };
        assert_eq!(run(Box::new(Guard::new(seed))), run(Box::new(Distance)), "seed {seed}");
    }
}
