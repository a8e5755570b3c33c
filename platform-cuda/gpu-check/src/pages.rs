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

/// Of the blocks of a group; as large as the engine's.
const BLOCK: u64 = 16 * MIB;
const BLOCKS: usize = 16;

/// Of one size. A fresh block was created just before; a recycled one was mapped before.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub bytes: u64,
    pub create: Times,
    pub map_fresh: Times,
    pub access_fresh: Times,
    pub map_recycled: Times,
    pub access_recycled: Times,
    pub unmap: Times,
    pub destroy: Times,
}

/// Many blocks side by side, used before: what it takes to allow access to them and to unmap them, one by
/// one and with one call.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    pub blocks: usize,
    pub block_bytes: u64,
    pub map: Times,
    pub access_each: Times,
    pub access_at_once: Times,
    pub unmap_each: Times,
    pub unmap_at_once: Times,
}

#[derive(Clone, Debug, Serialize)]
pub struct Pages {
    pub rows: Vec<Row>,
    pub group: Group,
}

#[derive(Default)]
struct Laps {
    create: Vec<Duration>,
    map_fresh: Vec<Duration>,
    access_fresh: Vec<Duration>,
    map_recycled: Vec<Duration>,
    access_recycled: Vec<Duration>,
    unmap: Vec<Duration>,
    destroy: Vec<Duration>,
}

pub fn measure(bench: &mut Bench, args: &Args) -> Result<Pages, Failure> {
    let device = &mut bench.device;
    let (grain, free) = (device.granularity(), device.memory()?.free_bytes);
    let scaled = |bytes: u64| (bytes / args.scale.unwrap_or(1)).next_multiple_of(grain);
    let mut sizes: Vec<u64> = SIZES.map(scaled).to_vec();
    sizes.retain(|bytes| *bytes <= free / 4);
    sizes.dedup();
    bench.begin("mapping and unmapping", sizes.len() as u64 + 1);
    let mut rows = Vec::new();
    for bytes in sizes {
        rows.push(row(&mut bench.device, bytes, args.rounds)?);
        bench.advance();
    }
    let group = group(&mut bench.device, scaled(BLOCK), args.rounds)?;
    bench.advance();
    Ok(Pages { rows, group })
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
        let (map, access, unmap) = map_and_unmap(device, start, &block, bytes)?;
        laps.map_fresh.push(map);
        laps.access_fresh.push(access);
        laps.unmap.push(unmap);
        let (map, access, unmap) = map_and_unmap(device, start, &block, bytes)?;
        laps.map_recycled.push(map);
        laps.access_recycled.push(access);
        laps.unmap.push(unmap);
        laps.destroy.push(timed(|| device.destroy(block))?.1);
    }
    // SAFETY: Reserved above with this length, and nothing is mapped there.
    unsafe { device.release(start, bytes) }?;
    Ok(Row {
        bytes,
        create: Times::of(&laps.create),
        map_fresh: Times::of(&laps.map_fresh),
        access_fresh: Times::of(&laps.access_fresh),
        map_recycled: Times::of(&laps.map_recycled),
        access_recycled: Times::of(&laps.access_recycled),
        unmap: Times::of(&laps.unmap),
        destroy: Times::of(&laps.destroy),
    })
}

/// Returns what the map, setting access and the unmap took.
fn map_and_unmap(
    device: &CudaDevice,
    start: DeviceAddress,
    block: &Block,
    bytes: u64,
) -> Result<(Duration, Duration, Duration), DeviceFault> {
    // SAFETY: The addresses are reserved, nothing is there, and the block is mapped nowhere.
    let ((), map) = timed(|| unsafe { device.place(start, block) })?;
    // SAFETY: Placed just now.
    let ((), access) = timed(|| unsafe { device.allow(start, bytes) })?;
    // SAFETY: Mapped just now with this size, and no work touches it.
    let ((), unmap) = timed(|| unsafe { device.unmap_all(start, bytes) })?;
    Ok((map, access, unmap))
}

fn group(device: &mut CudaDevice, block_bytes: u64, rounds: u32) -> Result<Group, DeviceFault> {
    let count = (device.memory()?.free_bytes / 4 / block_bytes).clamp(1, BLOCKS as u64);
    let bytes = count * block_bytes;
    let start = device.reserve(bytes)?;
    let blocks = (0..count).map(|_| device.create(block_bytes)).collect::<Result<Vec<_>, _>>()?;
    let (mut each, mut at_once) = (Laps::default(), Laps::default());
    // As above, the first round is not counted.
    for round in 0..=rounds {
        for (laps, stride) in [(&mut each, block_bytes), (&mut at_once, bytes)] {
            let (map, access, unmap) = group_round(device, start, &blocks, (block_bytes, stride))?;
            if round > 0 {
                laps.map_recycled.push(map);
                laps.access_recycled.push(access);
                laps.unmap.push(unmap);
            }
        }
    }
    blocks.into_iter().try_for_each(|block| device.destroy(block))?;
    // SAFETY: Reserved above with this length, and nothing is mapped there.
    unsafe { device.release(start, bytes) }?;
    Ok(Group {
        blocks: count as usize,
        block_bytes,
        map: Times::of(&each.map_recycled),
        access_each: Times::of(&each.access_recycled),
        access_at_once: Times::of(&at_once.access_recycled),
        unmap_each: Times::of(&each.unmap),
        unmap_at_once: Times::of(&at_once.unmap),
    })
}

/// Maps blocks side by side, then allows and unmaps so many bytes with a call. Returns the three times.
fn group_round(
    device: &CudaDevice,
    start: DeviceAddress,
    blocks: &[Block],
    (block_bytes, stride): (u64, u64),
) -> Result<(Duration, Duration, Duration), DeviceFault> {
    let bytes = block_bytes * blocks.len() as u64;
    let places = (0..bytes).step_by(block_bytes as usize).map(|offset| start.plus(offset));
    let mut places = places.zip(blocks);
    let calls = || (0..bytes).step_by(stride as usize).map(|offset| start.plus(offset));
    // SAFETY: The addresses are reserved, nothing is there, and the blocks are mapped nowhere.
    let place = || places.try_for_each(|(at, block)| unsafe { device.place(at, block) });
    let ((), map) = timed(place)?;
    // SAFETY: All blocks have been placed, and a stride is one of them or all.
    let ((), access) = timed(|| calls().try_for_each(|at| unsafe { device.allow(at, stride) }))?;
    // SAFETY: As above, and no work touches them.
    let ((), unmap) = timed(|| calls().try_for_each(|at| unsafe { device.unmap_all(at, stride) }))?;
    Ok((map, access, unmap))
}

/// What it takes to map a state whose memory comes in blocks of at most 16 MiB, as an engine's does.
pub fn map_ns(pages: Option<&Pages>, state_bytes: u64) -> u64 {
    let rows = pages.map_or(&[][..], |pages| &pages.rows);
    let block = rows.iter().filter(|row| row.bytes <= BLOCK).max_by_key(|row| row.bytes);
    let of_row = |row: &Row| {
        let blocks = state_bytes.div_ceil(row.bytes) as f64;
        (row.map_recycled.median_us + row.access_recycled.median_us) * 1e3 * blocks
    };
    block.map_or(0, |row| of_row(row) as u64)
}
