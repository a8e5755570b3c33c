//! Swapping as one would write it in an afternoon: copy in, compute, wait, and copy back what has to go.
//! Floor: third.
//!
//! It is spared what it need not suffer: memory of a size is kept for the next state of that size, what was
//! not written is not copied back, and of what was written no more than was.

use super::{
    Figures,
    plan::{Plan, Request},
    sums::Sums,
};
use crate::{
    bench::{Bench, Mix},
    contents::{self, WORD},
    failure::Failure,
    memory::start_of,
};
use ace_alloc_cuda::{
    device::{Device, DeviceAddress, DeviceFault, Lane},
    driver::Block,
};
use std::{
    collections::{BTreeMap, VecDeque},
    ptr::NonNull,
    time::Instant,
};

struct State {
    /// Pageable, as a program has it that knows nothing of devices.
    home: Vec<u8>,
    start: DeviceAddress,
    device_bytes: u64,
    /// While it is on the device.
    block: Option<Block>,
    is_dirty: bool,
}

struct Naive<'a> {
    bench: &'a mut Bench,
    plan: &'a Plan,
    budget_bytes: u64,
    states: Vec<State>,
    /// What came first is first.
    there: VecDeque<u32>,
    spare: BTreeMap<u64, Vec<Block>>,
    used_bytes: u64,
    figures: Figures,
}

pub fn run(bench: &mut Bench, plan: &Plan, budget_bytes: u64) -> Result<Figures, Failure> {
    let sums = Sums::new(bench, plan.requests())?;
    let mut naive = Naive {
        bench,
        plan,
        budget_bytes,
        states: Vec::new(),
        there: VecDeque::new(),
        spare: BTreeMap::new(),
        used_bytes: 0,
        figures: Figures::default(),
    };
    naive.fill()?;
    let begun = Instant::now();
    for requests in &plan.steps {
        let step_begun = Instant::now();
        for request in requests {
            naive.serve(request, &sums)?;
            naive.figures.latencies_ms.push(step_begun.elapsed().as_secs_f64() * 1e3);
            naive.bench.advance();
        }
    }
    naive.figures.seconds = begun.elapsed().as_secs_f64();
    let (in_bytes, out_bytes) = (naive.figures.in_bytes, naive.figures.out_bytes);
    while let Some(agent) = naive.there.pop_front() {
        naive.evict(agent)?;
    }
    let mut figures = naive.finish(sums)?;
    (figures.in_bytes, figures.out_bytes) = (in_bytes, out_bytes);
    Ok(figures)
}

impl Naive<'_> {
    fn fill(&mut self) -> Result<(), Failure> {
        let sizes = self.plan.trace.sizes.iter().zip(&self.plan.device_bytes);
        for ((bytes, device_bytes), seed) in sizes.zip(&self.plan.seeds) {
            let mut home = vec![0; *bytes as usize];
            contents::fill(&mut home, *seed);
            let start = self.bench.device.reserve(*device_bytes)?;
            let device_bytes = *device_bytes;
            self.states.push(State { home, start, device_bytes, block: None, is_dirty: false });
        }
        Ok(())
    }

    fn serve(&mut self, request: &Request, sums: &Sums) -> Result<(), Failure> {
        let agent = request.agent as usize;
        if self.states[agent].block.is_none() {
            self.fetch(request.agent)?;
        }
        let mix = Mix {
            data: self.states[agent].start,
            words: self.plan.words(request.agent),
            first: self.plan.written(request.agent).start,
            rounds: self.plan.rounds[agent],
            key: request.key,
            sums: sums.of(request.number),
        };
        // SAFETY: The state is mapped, its copy in was waited for, and the kernel is waited for.
        let run = unsafe { self.bench.launch_timed(&mix) };
        self.bench.stream.synchronize()?;
        self.figures.busy_seconds += run?.milliseconds()? / 1e3;
        self.states[agent].is_dirty = true;
        Ok(())
    }

    fn fetch(&mut self, agent: u32) -> Result<(), Failure> {
        let block = self.block(self.states[agent as usize].device_bytes)?;
        let state = &mut self.states[agent as usize];
        let device = &mut self.bench.device;
        // SAFETY: Reserved for this state, which is not there, and the block is mapped nowhere.
        unsafe { device.map(state.start, &block) }?;
        // SAFETY: Both sides have the state's bytes, and are left alone until the lane was waited for.
        unsafe { device.copy_in(state.start, start_of(&state.home), state.home.len()) }?;
        device.lane(Lane::In).synchronize()?;
        state.block = Some(block);
        self.figures.in_bytes += state.home.len() as u64;
        self.there.push_back(agent);
        Ok(())
    }

    /// Memory of this size: what is spare, new, or a state's that has to go.
    fn block(&mut self, bytes: u64) -> Result<Block, Failure> {
        loop {
            if let Some(block) = self.spare.get_mut(&bytes).and_then(Vec::pop) {
                return Ok(block);
            }
            if self.used_bytes + bytes <= self.budget_bytes {
                self.used_bytes += bytes;
                return Ok(self.bench.device.create(bytes)?);
            }
            let spare = self.spare.iter_mut().find_map(|(size, of)| Some((*size, of.pop()?)));
            if let Some((size, block)) = spare {
                self.bench.device.destroy(block)?;
                self.used_bytes -= size;
            } else if let Some(agent) = self.there.pop_front() {
                self.evict(agent)?;
            } else {
                return Err(Failure::Unfit(format!("{bytes} bytes do not fit into the budget")));
            }
        }
    }

    fn evict(&mut self, agent: u32) -> Result<(), DeviceFault> {
        let first = (self.plan.written(agent).start * WORD) as usize;
        let state = &mut self.states[agent as usize];
        let device = &mut self.bench.device;
        let Some(block) = state.block.take() else { return Ok(()) };
        if state.is_dirty {
            let written = &mut state.home[first..];
            let from = state.start.plus(first as u64);
            // SAFETY: Both sides have these bytes, and are left alone until the lane was waited for.
            unsafe { device.copy_out(NonNull::from(&mut *written).cast(), from, written.len()) }?;
            device.lane(Lane::Out).synchronize()?;
            self.figures.out_bytes += written.len() as u64;
            state.is_dirty = false;
        }
        // SAFETY: The block was mapped there with this size; copies and kernels were waited for.
        unsafe { device.unmap(state.start, state.device_bytes) }?;
        self.spare.entry(state.device_bytes).or_default().push(block);
        Ok(())
    }

    /// All states are at home.
    fn finish(mut self, sums: Sums) -> Result<Figures, Failure> {
        let sums = sums.read(self.bench)?;
        self.figures.outputs = sums.iter().map(|sums| sums[2]).collect();
        let digests = self.plan.check_sums(&sums)?;
        for ((agent, state), digest) in (0..).zip(&self.states).zip(digests) {
            self.plan.check_state(agent, &state.home, digest)?;
        }
        for block in self.spare.into_values().flatten() {
            self.bench.device.destroy(block)?;
        }
        for state in &self.states {
            // SAFETY: Reserved with this length, and nothing is mapped there any more.
            unsafe { self.bench.device.release(state.start, state.device_bytes) }?;
        }
        Ok(self.figures)
    }
}
