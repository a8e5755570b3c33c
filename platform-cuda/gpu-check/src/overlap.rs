//! A kernel and copies both ways: each alone, and all at once. Floor: second.

use crate::{
    args::Args,
    bench::{Bench, Mix},
    contents::WORD,
    failure::Failure,
    figures::{Times, share},
    memory::{Mapped, Pinned, queue_in, queue_out},
};
use ace_alloc_cuda::device::{Device, DeviceFault, Lane};
use serde::Serialize;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

#[derive(Clone, Debug, Serialize)]
pub struct Overlap {
    /// Of each copy.
    pub bytes: u64,
    pub kernel: Times,
    pub copy_in: Times,
    pub copy_out: Times,
    pub together: Times,
    /// The longest alone over all together: 1 if they do not disturb one another.
    pub efficiency: f64,
    /// One after the other over all together: 3 is the most there is.
    pub gain: f64,
}

struct Work {
    /// For the kernel, for the copy in, for the copy out, for the sums.
    device: [Mapped; 4],
    sent: Pinned,
    received: Pinned,
    bytes: u64,
    rounds: u32,
}

/// What to run.
#[derive(Clone, Copy)]
struct Parts {
    kernel: bool,
    inward: bool,
    outward: bool,
}

impl Work {
    /// Runs some of it at once and waits for all of it.
    fn run(&mut self, bench: &mut Bench, parts: Parts) -> Result<Duration, DeviceFault> {
        let begun = Instant::now();
        let queued = self.queue(bench, parts);
        let kernel = bench.stream.synchronize();
        let inward = bench.device.lane(Lane::In).synchronize();
        bench.device.lane(Lane::Out).synchronize().and(inward).and(kernel).and(queued)?;
        Ok(begun.elapsed())
    }

    fn queue(&mut self, bench: &mut Bench, parts: Parts) -> Result<(), DeviceFault> {
        let [data, to, from, sums] = &self.device;
        let chunk = self.bytes as usize / 4;
        if parts.kernel {
            let (data, sums) = (data.start(), sums.start());
            let words = self.bytes / WORD;
            let mix = Mix { data, words, first: 0, rounds: self.rounds, key: 1, sums };
            // SAFETY: The memory is this work's own; `run` waits for the stream.
            unsafe { bench.launch(&mix) }?;
        }
        if parts.inward {
            queue_in(&mut bench.device, to, self.sent.bytes(), chunk)?;
        }
        if parts.outward {
            queue_out(&mut bench.device, self.received.bytes_mut(), from, chunk)?;
        }
        Ok(())
    }
}

pub fn measure(bench: &mut Bench, args: &Args, inward: f64) -> Result<Overlap, Failure> {
    let rounds = args.long_rounds();
    bench.begin("overlap", rounds as u64);
    let room = bench.device.memory()?.free_bytes / 8 / 4096 * 4096;
    let bytes = (256 * MIB / args.scale.unwrap_or(1)).min(room).max(64 << 10);
    let copying = Duration::from_secs_f64(bytes as f64 / inward.max(1e6));
    let kernel_rounds = bench.pace(bytes, 3)?.rounds(bytes / WORD, copying);
    let device = &mut bench.device;
    let mut mapped = || Mapped::new(device, bytes);
    let memory = [mapped()?, mapped()?, mapped()?, mapped()?];
    let (sent, received) =
        (Pinned::new(device, bytes as usize)?, Pinned::new(device, bytes as usize)?);
    let mut work = Work { device: memory, sent, received, bytes, rounds: kernel_rounds };
    let all = Parts { kernel: true, inward: true, outward: true };
    let none = Parts { kernel: false, inward: false, outward: false };
    let choices = [
        Parts { kernel: true, ..none },
        Parts { inward: true, ..none },
        Parts { outward: true, ..none },
        all,
    ];
    work.run(bench, all)?;
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..rounds {
        for (parts, times) in choices.into_iter().zip(&mut times) {
            times.push(work.run(bench, parts)?);
        }
        bench.advance();
    }
    work.device.into_iter().try_for_each(|mapped| mapped.free(&mut bench.device))?;
    work.sent.free(&mut bench.device)?;
    work.received.free(&mut bench.device)?;
    let [kernel, copy_in, copy_out, together] = times.map(|times| Times::of(&times));
    let alone = [kernel, copy_in, copy_out].map(|times| times.median_us);
    let longest = alone.into_iter().fold(0.0, f64::max);
    let efficiency = share(longest, together.median_us);
    let gain = share(alone.iter().sum(), together.median_us);
    Ok(Overlap { bytes, kernel, copy_in, copy_out, together, efficiency, gain })
}
