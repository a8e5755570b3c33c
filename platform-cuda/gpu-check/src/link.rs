//! The link between host and device: bandwidth both ways, small copies, and what pinning costs.
//! Floor: second.

use crate::{
    args::Args,
    bench::Bench,
    contents,
    failure::Failure,
    figures::{Times, median_of, rate, timed},
    memory::{Mapped, Pinned, download, exchange, upload},
};
use ace_alloc_cuda::{
    device::{Device, DeviceFault},
    driver::CudaDevice,
};
use serde::Serialize;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// What is copied for one figure.
const BUFFER_BYTES: usize = 256 * MIB;
const CHUNKS: [usize; 4] = [MIB, 4 * MIB, 16 * MIB, 64 * MIB];
const SMALL: [usize; 4] = [4 * KIB, 28 * KIB, 64 * KIB, 256 * KIB];
const SMALL_COPIES: usize = 64;
const PIN_BYTES: usize = 1024 * MIB;

/// Medians, in bytes a second.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Speeds {
    pub chunk_bytes: usize,
    pub inward: f64,
    pub outward: f64,
}

/// Copies of one size from pinned memory.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Small {
    pub bytes: usize,
    /// One, from queueing it to knowing that it is done.
    pub alone: Times,
    /// Each of many that are queued together.
    pub in_a_row: Times,
}

#[derive(Clone, Debug, Serialize)]
pub struct Pinning {
    pub bytes: usize,
    pub pin: Times,
    pub unpin: Times,
}

#[derive(Clone, Debug, Serialize)]
pub struct Link {
    /// Bytes of one measurement.
    pub bytes: usize,
    pub pinned: Vec<Speeds>,
    pub pageable: Vec<Speeds>,
    /// Pinned, both ways at once; each way by itself.
    pub both_ways: Speeds,
    pub small: Vec<Small>,
    pub pinning: Pinning,
}

impl Link {
    /// The best speed each way.
    pub fn best(speeds: &[Speeds]) -> (f64, f64) {
        let best = |way: fn(&Speeds) -> f64| speeds.iter().map(way).fold(0.0, f64::max);
        (best(|it| it.inward), best(|it| it.outward))
    }
}

/// Host memory of both sorts and device memory, two of each.
struct Buffers {
    device: [Mapped; 2],
    pinned: [Pinned; 2],
    pageable: [Vec<u8>; 2],
}

pub fn measure(bench: &mut Bench, args: &Args) -> Result<Link, Failure> {
    let rounds = args.long_rounds();
    let device = &mut bench.device;
    let room = usize::try_from(device.memory()?.free_bytes / 8).unwrap_or(usize::MAX);
    let scale = usize::try_from(args.scale.unwrap_or(1)).unwrap_or(1);
    // Whole words, and a chunk at least.
    let bytes = (BUFFER_BYTES / scale).min(room / 4096 * 4096).max(64 * KIB);
    let mut chunks: Vec<usize> = CHUNKS.map(|chunk| chunk.min(bytes)).to_vec();
    chunks.dedup();
    let mut buffers = Buffers {
        device: [Mapped::new(device, bytes as u64)?, Mapped::new(device, bytes as u64)?],
        pinned: [Pinned::new(device, bytes)?, Pinned::new(device, bytes)?],
        pageable: [vec![0; bytes], vec![0; bytes]],
    };
    bench.begin("the link", 2 * chunks.len() as u64 + 3);
    let [sent, received] = &mut buffers.pinned;
    let sides = (&buffers.device[0], sent.bytes_mut(), received.bytes_mut());
    let pinned = both_tables(bench, sides, &chunks, rounds)?;
    let [sent, received] = &mut buffers.pageable;
    let sides = (&buffers.device[0], &mut sent[..], &mut received[..]);
    let pageable = both_tables(bench, sides, &chunks, rounds)?;
    let both_ways = together(&mut bench.device, &mut buffers, rounds)?;
    bench.advance();
    let small = small(&mut bench.device, &mut buffers, args.rounds)?;
    bench.advance();
    let Buffers { device: mapped, pinned: homes, .. } = buffers;
    mapped.into_iter().try_for_each(|mapped| mapped.free(&mut bench.device))?;
    homes.into_iter().try_for_each(|home| home.free(&mut bench.device))?;
    let pinning = pinning(&mut bench.device, PIN_BYTES / scale, rounds)?;
    bench.advance();
    Ok(Link { bytes, pinned, pageable, both_ways, small, pinning })
}

/// The speeds by chunk, of one sort of host memory; what was sent must come back.
fn both_tables(
    bench: &mut Bench,
    (mapped, sent, received): (&Mapped, &mut [u8], &mut [u8]),
    chunks: &[usize],
    rounds: usize,
) -> Result<Vec<Speeds>, Failure> {
    let digest = contents::fill(sent, 1);
    let bytes = sent.len() as u64;
    let mut table = Vec::new();
    for chunk in chunks.iter().copied() {
        let (mut inward, mut outward) = (Vec::new(), Vec::new());
        received.fill(0);
        // The first round warms up.
        for round in 0..=rounds {
            let time_in = timed(|| upload(&mut bench.device, mapped, sent, chunk))?.1;
            let time_out = timed(|| download(&mut bench.device, received, mapped, chunk))?.1;
            if round > 0 {
                inward.push(rate(bytes, time_in));
                outward.push(rate(bytes, time_out));
            }
        }
        if contents::digest(received, 0) != digest {
            let text = format!("{bytes} bytes, sent and fetched in chunks of {chunk}");
            return Err(Failure::Contents(text));
        }
        let (inward, outward) = (median_of(inward), median_of(outward));
        table.push(Speeds { chunk_bytes: chunk, inward, outward });
        bench.advance();
    }
    Ok(table)
}

fn together(
    device: &mut CudaDevice,
    buffers: &mut Buffers,
    rounds: usize,
) -> Result<Speeds, DeviceFault> {
    let [to, from] = &buffers.device;
    let [sent, received] = &mut buffers.pinned;
    let chunk = (16 * MIB).min(sent.bytes().len());
    let bytes = sent.bytes().len() as u64;
    let mut rates = Vec::new();
    for _ in 0..rounds {
        let (inward, outward) = ((to, sent.bytes()), (received.bytes_mut(), from));
        rates.push(rate(bytes, timed(|| exchange(device, inward, outward, chunk))?.1));
    }
    let each = median_of(rates);
    Ok(Speeds { chunk_bytes: chunk, inward: each, outward: each })
}

fn small(
    device: &mut CudaDevice,
    buffers: &mut Buffers,
    rounds: u32,
) -> Result<Vec<Small>, DeviceFault> {
    let (to, from) = (&buffers.device[0], buffers.pinned[0].bytes());
    let row = |bytes: usize| {
        let (mut alone, mut in_a_row) = (Vec::new(), Vec::new());
        let count = SMALL_COPIES.min(from.len() / bytes).max(1);
        for _ in 0..rounds {
            alone.push(timed(|| upload(device, to, &from[..bytes], bytes))?.1);
            let time = timed(|| upload(device, to, &from[..count * bytes], bytes))?.1;
            in_a_row.push(time / count as u32);
        }
        Ok(Small { bytes, alone: Times::of(&alone), in_a_row: Times::of(&in_a_row) })
    };
    SMALL.into_iter().filter(|bytes| *bytes <= from.len()).map(row).collect()
}

fn pinning(device: &mut CudaDevice, bytes: usize, rounds: usize) -> Result<Pinning, DeviceFault> {
    let (mut pin, mut unpin) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (pinned, time) = timed(|| Pinned::new(device, bytes))?;
        pin.push(time);
        unpin.push(timed(|| pinned.free(device))?.1);
    }
    Ok(Pinning { bytes, pin: Times::of(&pin), unpin: Times::of(&unpin) })
}
