//! Whether an unmap holds up other streams, and whether they hold it up. Floor: second.
//!
//! The engine unmaps while kernels and copies of others run. If the driver waited for them, or they for it,
//! eviction would have to be done otherwise.

use crate::{
    args::Args,
    bench::{Bench, Mix},
    contents::WORD,
    failure::Failure,
    figures::{Times, timed},
    memory::{Mapped, Pinned, queue_in},
};
use ace_alloc_cuda::{
    device::{Device, DeviceAddress, DeviceFault, Lane},
    driver::Block,
};
use serde::Serialize;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;
/// How long the kernel runs and, about, the copy.
const WORK: Duration = Duration::from_millis(10);

#[derive(Clone, Debug, Serialize)]
pub struct Stalls {
    /// Of the block that is mapped and unmapped.
    pub bytes: u64,
    pub unmap_idle: Times,
    /// While a kernel runs on another stream.
    pub unmap_beside_kernel: Times,
    /// While copies run on another stream.
    pub unmap_beside_copy: Times,
    /// From queueing it to its end.
    pub kernel_alone: Times,
    pub kernel_beside_unmaps: Times,
    pub copy_alone: Times,
    pub copy_beside_unmaps: Times,
}

/// A block that comes and goes.
struct Shuttle {
    start: DeviceAddress,
    bytes: u64,
    block: Block,
}

impl Shuttle {
    fn new(bench: &mut Bench) -> Result<Self, DeviceFault> {
        let bytes = (16 * MIB).next_multiple_of(bench.device.granularity());
        let (start, block) = (bench.device.reserve(bytes)?, bench.device.create(bytes)?);
        Ok(Self { start, bytes, block })
    }

    /// Returns what the unmap took.
    fn go(&self, bench: &mut Bench) -> Result<Duration, DeviceFault> {
        // SAFETY: Reserved, nothing is there, and the block is mapped nowhere: the unmap below saw to it.
        unsafe { bench.device.map(self.start, &self.block) }?;
        // SAFETY: Mapped just now, and no work touches it.
        timed(|| unsafe { bench.device.unmap(self.start, self.bytes) }).map(|((), time)| time)
    }

    fn free(self, bench: &mut Bench) -> Result<(), DeviceFault> {
        bench.device.destroy(self.block)?;
        // SAFETY: Reserved with this length, and nothing is mapped there.
        unsafe { bench.device.release(self.start, self.bytes) }
    }
}

/// Work on another stream than the unmaps: none has one.
struct Work {
    data: Mapped,
    sums: Mapped,
    pinned: Pinned,
    words: u64,
    rounds: u32,
    /// So often the pinned memory is copied.
    copies: usize,
}

impl Work {
    fn new(bench: &mut Bench, args: &Args) -> Result<Self, DeviceFault> {
        let bytes = 64 * MIB / args.scale.unwrap_or(1).min(64);
        let rounds = bench.pace(bytes, 3)?.rounds(bytes / WORD, WORK);
        let device = &mut bench.device;
        let (data, sums) = (Mapped::new(device, bytes)?, Mapped::new(device, 1)?);
        let pinned = Pinned::new(device, bytes as usize)?;
        let mut work = Self { data, sums, pinned, words: bytes / WORD, rounds, copies: 1 };
        work.copy(bench, None)?;
        let once = work.copy(bench, None)?;
        let copies = WORK.as_secs_f64() / once.as_secs_f64().max(1e-6);
        work.copies = copies.clamp(1.0, 1000.0).ceil() as usize;
        Ok(work)
    }

    fn free(self, bench: &mut Bench) -> Result<(), DeviceFault> {
        self.pinned.free(&mut bench.device)?;
        self.sums.free(&mut bench.device)?;
        self.data.free(&mut bench.device)
    }

    /// Runs the kernel, and unmaps until it has ended if there is something to unmap. Returns what the
    /// kernel took.
    fn kernel(&self, bench: &mut Bench, unmaps: Unmaps<'_>) -> Result<Duration, DeviceFault> {
        let (data, sums) = (self.data.start(), self.sums.start());
        let mix = Mix { data, words: self.words, first: 0, rounds: self.rounds, key: 1, sums };
        let (begun, end) = (Instant::now(), bench.device.event()?);
        // SAFETY: The memory is this work's own and is waited for.
        let queued = unsafe { bench.launch(&mix) }.and_then(|()| end.record(&bench.stream));
        let unmapped = queued.and_then(|()| unmap_until(bench, unmaps, |_| end.is_ready()));
        bench.stream.synchronize().and(unmapped)?;
        Ok(begun.elapsed())
    }

    /// As [`Self::kernel`], with copies.
    fn copy(&self, bench: &mut Bench, unmaps: Unmaps<'_>) -> Result<Duration, DeviceFault> {
        let begun = Instant::now();
        let from = self.pinned.bytes();
        let queued = (0..self.copies)
            .try_for_each(|_| queue_in(&mut bench.device, &self.data, from, from.len()));
        let unmapped = queued.and_then(|()| {
            let mut mark = bench.device.mark(Lane::In)?;
            unmap_until(bench, unmaps, |bench| bench.device.is_ready(&mut mark))
        });
        bench.device.lane(Lane::In).synchronize().and(unmapped)?;
        Ok(begun.elapsed())
    }
}

/// What to unmap meanwhile, and where the times go.
type Unmaps<'a> = Option<(&'a Shuttle, &'a mut Vec<Duration>)>;

fn unmap_until(
    bench: &mut Bench,
    unmaps: Unmaps<'_>,
    mut is_over: impl FnMut(&mut Bench) -> Result<bool, DeviceFault>,
) -> Result<(), DeviceFault> {
    let Some((shuttle, times)) = unmaps else { return Ok(()) };
    loop {
        times.push(shuttle.go(bench)?);
        if is_over(bench)? {
            return Ok(());
        }
    }
}

pub fn measure(bench: &mut Bench, args: &Args) -> Result<Stalls, Failure> {
    bench.begin("unmapping beside other work", 2 * u64::from(args.rounds));
    let (shuttle, work) = (Shuttle::new(bench)?, Work::new(bench, args)?);
    let mut idle = Vec::new();
    for _ in 0..args.rounds {
        idle.push(shuttle.go(bench)?);
    }
    let [mut kernels, mut copies] = [(); 2].map(|()| (Vec::new(), Vec::new(), Vec::new()));
    for _ in 0..args.rounds {
        let (alone, beside, unmaps) = &mut kernels;
        alone.push(work.kernel(bench, None)?);
        beside.push(work.kernel(bench, Some((&shuttle, unmaps)))?);
        bench.advance();
        let (alone, beside, unmaps) = &mut copies;
        alone.push(work.copy(bench, None)?);
        beside.push(work.copy(bench, Some((&shuttle, unmaps)))?);
        bench.advance();
    }
    let bytes = shuttle.bytes;
    work.free(bench)?;
    shuttle.free(bench)?;
    Ok(Stalls {
        bytes,
        unmap_idle: Times::of(&idle),
        unmap_beside_kernel: Times::of(&kernels.2),
        unmap_beside_copy: Times::of(&copies.2),
        kernel_alone: Times::of(&kernels.0),
        kernel_beside_unmaps: Times::of(&kernels.1),
        copy_alone: Times::of(&copies.0),
        copy_beside_unmaps: Times::of(&copies.1),
    })
}
