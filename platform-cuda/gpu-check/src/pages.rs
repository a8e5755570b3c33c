//! What it takes to put memory behind addresses and to take it away again. Floor: second.

use crate::{
    args::Args,
    bench::Bench,
    failure::Failure,
    figures::{Times, timed},
};
use ace_alloc_cuda::{
    device::{Device, DeviceAddress, DeviceFault},
    driver::{Block, CudaDevice},
};
use serde::Serialize;
use std::time::Duration;

const MIB: u64 = 1 << 20;
const SIZES: [u64; 5] = [2 * MIB, 16 * MIB, 32 * MIB, 64 * MIB, 256 * MIB];

/// Of one size. A fresh block was created just before; a recycled one was mapped before.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub bytes: u64,
    pub create: Times,
    /// Map and set access: the two that make memory usable.
    pub map_fresh: Times,
    pub map_recycled: Times,
    pub unmap: Times,
    pub destroy: Times,
}

#[derive(Default)]
struct Laps {
    create: Vec<Duration>,
    map_fresh: Vec<Duration>,
    map_recycled: Vec<Duration>,
    unmap: Vec<Duration>,
    destroy: Vec<Duration>,
}

pub fn measure(bench: &mut Bench, args: &Args) -> Result<Vec<Row>, Failure> {
    let device = &mut bench.device;
    let (grain, free) = (device.granularity(), device.memory()?.free_bytes);
    let sizes = SIZES.map(|bytes| (bytes / args.scale.unwrap_or(1)).next_multiple_of(grain));
    let mut sizes: Vec<u64> = sizes.into_iter().filter(|bytes| *bytes <= free / 4).collect();
    sizes.dedup();
    bench.begin("mapping and unmapping", sizes.len() as u64);
    let mut rows = Vec::new();
    for bytes in sizes {
        rows.push(row(&mut bench.device, bytes, args.rounds)?);
        bench.advance();
    }
    Ok(rows)
}

fn row(device: &mut CudaDevice, bytes: u64, rounds: u32) -> Result<Row, DeviceFault> {
    let start = device.reserve(bytes)?;
    let mut laps = Laps::default();
    // The first round is for the driver to get going.
    for round in 0..=rounds {
        if round == 1 {
            laps = Laps::default();
        }
        let (block, time) = timed(|| device.create(bytes))?;
        laps.create.push(time);
        laps.map_fresh.push(map_and_unmap(device, start, &block, bytes, &mut laps.unmap)?);
        laps.map_recycled.push(map_and_unmap(device, start, &block, bytes, &mut laps.unmap)?);
        laps.destroy.push(timed(|| device.destroy(block))?.1);
    }
    // SAFETY: Reserved above with this length, and nothing is mapped there.
    unsafe { device.release(start, bytes) }?;
    Ok(Row {
        bytes,
        create: Times::of(&laps.create),
        map_fresh: Times::of(&laps.map_fresh),
        map_recycled: Times::of(&laps.map_recycled),
        unmap: Times::of(&laps.unmap),
        destroy: Times::of(&laps.destroy),
    })
}

/// Returns what the map took.
fn map_and_unmap(
    device: &mut CudaDevice,
    start: DeviceAddress,
    block: &Block,
    bytes: u64,
    unmaps: &mut Vec<Duration>,
) -> Result<Duration, DeviceFault> {
    // SAFETY: The addresses are reserved, nothing is there, and the block is mapped nowhere.
    let ((), map) = timed(|| unsafe { device.map(start, block) })?;
    // SAFETY: Mapped just now with this size, and no work touches it.
    let ((), unmap) = timed(|| unsafe { device.unmap(start, bytes) })?;
    unmaps.push(unmap);
    Ok(map)
}

/// What it takes to map a state whose memory comes in blocks of at most 16 MiB, as an engine's does.
pub fn map_ns(rows: &[Row], state_bytes: u64) -> u64 {
    let block = rows.iter().filter(|row| row.bytes <= 16 * MIB).max_by_key(|row| row.bytes);
    let blocks = |row: &Row| state_bytes.div_ceil(row.bytes) as f64;
    block.map_or(0, |row| (row.map_recycled.median_us * 1e3 * blocks(row)) as u64)
}
