//! A firmware on Embassy: a task samples, one condenses, the last reports, and what they pass on is owned
//! by boxes on the heap. When there is nothing to do, the heap gets a turn.
//! Floor: a Cortex-M with 32 KiB for the heap; runs on QEMU's mps2-an386.

#![no_std]
#![no_main]

extern crate alloc;

use ace_alloc::region::Mini;
use ace_alloc::{CriticalSectionLock, LockedHeap};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use cortex_m::singleton;
use embassy_executor::Spawner;
use embassy_futures::yield_now;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use semihosting::{println, process};

#[global_allocator]
static HEAP: LockedHeap<CriticalSectionLock, Mini> = LockedHeap::empty();

const HEAP_BYTES: usize = 32 << 10;
const BATCHES: usize = 200;

/// Samples of one sensor.
struct Batch {
    sensor: u8,
    samples: Vec<u16>,
}

/// What is left of a batch.
struct Report {
    sensor: u8,
    mean: u16,
}

static BATCHES_OUT: Channel<CriticalSectionRawMutex, Box<Batch>, 4> = Channel::new();
static REPORTS_OUT: Channel<CriticalSectionRawMutex, Report, 8> = Channel::new();

/// A sensor's batches have different lengths, as if they came from a radio.
#[embassy_executor::task]
async fn sample() {
    for number in 0..BATCHES {
        let samples: Vec<u16> = (0..16 + number % 90).map(|at| (100 + at % 7) as u16).collect();
        BATCHES_OUT.send(Box::new(Batch { sensor: (number % 3) as u8, samples })).await;
        yield_now().await;
    }
}

#[embassy_executor::task]
async fn condense() {
    loop {
        let batch = BATCHES_OUT.receive().await;
        let sum: usize = batch.samples.iter().map(|sample| usize::from(*sample)).sum();
        let mean = (sum / batch.samples.len()) as u16;
        REPORTS_OUT.send(Report { sensor: batch.sensor, mean }).await;
    }
}

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    if let Some(memory) =
        singleton!(: [MaybeUninit<u8>; HEAP_BYTES] = [MaybeUninit::uninit(); HEAP_BYTES])
    {
        HEAP.claim_static(memory).expect("memory for a heap");
    }
    spawner.spawn(sample().expect("the only one"));
    spawner.spawn(condense().expect("the only one"));
    let mut means: BTreeMap<u8, Vec<u16>> = BTreeMap::new();
    for number in 0..BATCHES {
        let report = REPORTS_OUT.receive().await;
        means.entry(report.sensor).or_default().push(report.mean);
        // A firmware has a clock; here a report comes every ten milliseconds.
        HEAP.turn(number as u64 * 10);
    }
    for (sensor, means) in &means {
        println!("{}", format!("sensor {sensor}: {} means, {:?}...", means.len(), &means[..3]));
    }
    println!("{} bytes in use", HEAP.stats().live);
    process::exit(if means.len() == 3 { 0 } else { 1 })
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    println!("{info}");
    process::exit(101)
}
