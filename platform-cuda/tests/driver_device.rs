//! Promises of an open device: contents survive eviction at the same address, what is not mapped can't be
//! touched, lack of memory changes nothing, and a mark comes after what it marks. Floor: garden.

#![cfg(feature = "driver")]

use ace_alloc_cuda::device::{Device, DeviceAddress, DeviceFault, Lane};
use ace_alloc_cuda::driver::{CudaDevice, Library, Mark};
use ace_alloc_tests::fake_cuda::{self, Fake, Live};
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

/// A device is driven by one thread, but not always by the one that opened it.
const _: fn() = || {
    fn may_move<T: Send>() {}
    may_move::<CudaDevice>();
};

fn open(fake: &Fake) -> CudaDevice {
    // SAFETY: The fake has the driver's ABI.
    let library = unsafe { Library::open(fake.path()) }.expect("a driver");
    let mut device = CudaDevice::open(library, 0).expect("a device");
    device.attach().expect("attached");
    device
}

fn wait(device: &mut CudaDevice, mark: &mut Mark) -> u32 {
    (0..).find(|_| device.is_ready(mark).expect("no fault")).expect("it ends")
}

fn pattern(index: usize) -> u8 {
    (index.wrapping_mul(0x9E37_79B9) >> 13) as u8
}

/// Pinned memory with a pattern in it.
fn pinned_pattern(device: &mut CudaDevice, bytes: usize) -> NonNull<u8> {
    let pinned = device.pin(bytes).expect("pinned");
    for index in 0..bytes {
        // SAFETY: It holds `bytes`.
        unsafe { pinned.add(index).write(pattern(index)) };
    }
    pinned
}

fn assert_pattern(start: NonNull<u8>, bytes: usize) {
    // SAFETY: It holds `bytes`, and nothing writes to it now.
    let found = unsafe { std::slice::from_raw_parts(start.as_ptr(), bytes) };
    let wrong = (0..bytes).find(|index| found[*index] != pattern(*index));
    assert_eq!(wrong, None, "contents differ");
}

#[test]
fn contents_survive_eviction_and_come_back_at_the_same_address() {
    let fake = fake_cuda::load();
    let mut device = open(&fake);
    let bytes = 8 * MIB;
    let host = pinned_pattern(&mut device, bytes as usize);
    let address = device.reserve(bytes).expect("addresses");
    for _ in 0..3 {
        let block = device.create(bytes).expect("memory");
        // SAFETY: Reserved, nothing there, a new block.
        unsafe { device.map(address, &block) }.expect("mapped");
        // SAFETY: Both sides hold `bytes` and stay until the mark is ready.
        unsafe { device.copy_in(address, host, bytes as usize) }.expect("queued");
        let mut mark = device.mark(Lane::In).expect("marked");
        wait(&mut device, &mut mark);
        // SAFETY: The copy is done.
        unsafe { ptr::write_bytes(host.as_ptr(), 0, bytes as usize) };
        // SAFETY: As above.
        unsafe { device.copy_out(host, address, bytes as usize) }.expect("queued");
        let mut mark = device.mark(Lane::Out).expect("marked");
        wait(&mut device, &mut mark);
        assert_pattern(host, bytes as usize);
        // SAFETY: Mapped with this size, and no work is left.
        unsafe { device.unmap(address, bytes) }.expect("unmapped");
        device.destroy(block).expect("destroyed");
    }
    // SAFETY: From `pin`, and unused.
    unsafe { device.unpin(host) }.expect("unpinned");
    // SAFETY: Nothing is mapped there.
    unsafe { device.release(address, bytes) }.expect("released");
    assert_eq!(fake.live().blocks, 0);
    drop(device);
    assert_eq!((fake.live(), fake.misuses()), (Live::default(), 0));
}

#[test]
fn a_mark_is_ready_when_the_copy_is_done_and_not_before() {
    let fake = fake_cuda::load();
    let mut device = open(&fake);
    let bytes = 4 * MIB;
    // Both copies last 168 µs at 25 GB/s, and asking takes 10 µs.
    let host = pinned_pattern(&mut device, bytes as usize);
    let address = device.reserve(bytes).expect("addresses");
    let block = device.create(bytes).expect("memory");
    // SAFETY: Reserved, nothing there, a new block.
    unsafe { device.map(address, &block) }.expect("mapped");
    // SAFETY: Both sides hold `bytes` and stay until the mark is ready.
    unsafe { device.copy_in(address, host, bytes as usize) }.expect("queued");
    let mut mark = device.mark(Lane::In).expect("marked");
    let asked = wait(&mut device, &mut mark);
    assert!((10..30).contains(&asked), "ready after {asked} questions");
    // The host's memory is written when the copy out ends, not when it is queued.
    let target = device.pin(bytes as usize).expect("pinned");
    // SAFETY: It holds a byte.
    unsafe { target.write(!pattern(0)) };
    // SAFETY: As above.
    unsafe { device.copy_out(target, address, bytes as usize) }.expect("queued");
    let mut mark = device.mark(Lane::Out).expect("marked");
    assert!(!device.is_ready(&mut mark).expect("no fault"));
    // SAFETY: The fake runs no threads, so nothing is written now.
    assert_eq!(unsafe { target.read() }, !pattern(0));
    wait(&mut device, &mut mark);
    assert_pattern(target, bytes as usize);
    // The lanes do not wait for each other: a mark of an idle lane is ready at once.
    // SAFETY: As above.
    unsafe { device.copy_out(target, address, bytes as usize) }.expect("queued");
    let mut idle = device.mark(Lane::In).expect("marked");
    let mut busy = device.mark(Lane::Out).expect("marked");
    assert!(device.is_ready(&mut idle).expect("no fault"));
    assert!(!device.is_ready(&mut busy).expect("no fault"));
}

#[test]
fn events_of_marks_are_used_again() {
    let fake = fake_cuda::load();
    let mut device = open(&fake);
    for _ in 0..100 {
        let mut marks: Vec<_> = (0..4).map(|_| device.mark(Lane::In).expect("marked")).collect();
        // Two are asked about, two are dropped.
        marks.iter_mut().take(2).for_each(|mark| {
            wait(&mut device, mark);
        });
    }
    assert_eq!(fake.live().events, 4);
    let kept = device.mark(Lane::Out).expect("marked");
    drop(device);
    assert_eq!(fake.live().retains, 1, "the mark keeps the context");
    drop(kept);
    assert_eq!(fake.live(), Live::default());
}

#[test]
fn each_device_has_memory_of_its_own() {
    let fake = fake_cuda::load();
    fake.configure("devices=2");
    // SAFETY: The fake has the driver's ABI.
    let library = unsafe { Library::open(fake.path()) }.expect("a driver");
    let [mut first, mut second] =
        [0, 1].map(|ordinal| CudaDevice::open(library, ordinal).expect("a device"));
    let free = |devices: [&mut CudaDevice; 2]| {
        devices.map(|device| {
            device.attach().expect("attached");
            device.memory().expect("no fault").free_bytes
        })
    };
    let before = free([&mut first, &mut second]);
    let block = second.create(2 * MIB).expect("memory");
    let address = second.reserve(2 * MIB).expect("addresses");
    // SAFETY: Reserved, nothing there, a new block.
    unsafe { second.map(address, &block) }.expect("mapped");
    assert_eq!(free([&mut first, &mut second]), [before[0], before[1] - 2 * MIB]);
    let host = second.pin(4096).expect("pinned");
    // SAFETY: Both sides hold the bytes and stay.
    unsafe { second.copy_in(address, host, 4096) }.expect("its own memory");
    first.attach().expect("attached");
    // SAFETY: As above; the fake looks before it copies.
    let foreign = unsafe { first.copy_in(address, host, 4096) };
    assert!(matches!(foreign, Err(DeviceFault::Refused { code: 1, .. })), "{foreign:?}");
}

#[test]
fn under_real_time_a_copy_lasts_as_long_as_the_link_needs() {
    let fake = fake_cuda::load();
    fake.configure("real_time=1 in_bytes_per_second=1000000000");
    let mut device = open(&fake);
    let bytes = 4 * MIB;
    let host = device.pin(bytes as usize).expect("pinned");
    let address = device.reserve(bytes).expect("addresses");
    let block = device.create(bytes).expect("memory");
    // SAFETY: Reserved, nothing there, a new block.
    unsafe { device.map(address, &block) }.expect("mapped");
    let began = Instant::now();
    // SAFETY: Both sides hold `bytes` and stay until the mark is ready.
    unsafe { device.copy_in(address, host, bytes as usize) }.expect("queued");
    let mut mark = device.mark(Lane::In).expect("marked");
    wait(&mut device, &mut mark);
    assert!(began.elapsed() >= Duration::from_micros(4194), "{:?}", began.elapsed());
}

#[test]
fn lack_of_memory_changes_nothing() {
    let fake = fake_cuda::load();
    fake.configure("memory_bytes=16777216 pinned_bytes=1048576 address_bytes=67108864");
    let mut device = open(&fake);
    let held = device.create(12 * MIB).expect("memory");
    let before = (fake.live(), device.memory().expect("no fault"));
    assert_eq!(before.1.free_bytes, 4 * MIB);
    for _ in 0..3 {
        assert_eq!(device.create(6 * MIB).err(), Some(DeviceFault::OutOfMemory));
        assert_eq!(device.pin(2 << 20).err(), Some(DeviceFault::OutOfMemory));
        assert_eq!(device.reserve(128 * MIB).err(), Some(DeviceFault::OutOfMemory));
        assert_eq!((fake.live(), device.memory().expect("no fault")), before);
    }
    let rest = device.create(4 * MIB).expect("the rest is there");
    device.destroy(rest).expect("destroyed");
    device.destroy(held).expect("destroyed");
    assert_eq!(device.memory().expect("no fault").free_bytes, 16 * MIB);
}

#[test]
fn misuse_of_the_addresses_is_refused_and_changes_nothing() {
    let fake = fake_cuda::load();
    let mut device = open(&fake);
    let grain = device.granularity();
    let refused = |result: Result<(), DeviceFault>| {
        matches!(result, Err(DeviceFault::Refused { code: 1, .. }))
    };
    let address = device.reserve(4 * grain).expect("addresses");
    let block = device.create(2 * grain).expect("memory");
    assert!(
        refused(device.create(grain / 2).map(|_| ())),
        "a size that is no multiple of the grain"
    );
    assert!(refused(device.reserve(0).map(|_| ())));
    // SAFETY: None of these is allowed by the trait; that the fake refuses each of them is what is tested,
    // and it checks before it touches anything.
    unsafe {
        assert!(refused(device.map(address.plus(grain / 2), &block)), "between grains");
        assert!(refused(device.map(address.plus(3 * grain), &block)), "beyond the end");
        assert!(refused(device.map(DeviceAddress(grain), &block)), "not reserved");
        device.map(address, &block).expect("mapped");
        assert!(refused(device.map(address.plus(grain), &block)), "over a mapping");
        assert!(refused(device.unmap(address, grain)), "half a mapping");
        assert!(refused(device.release(address, 4 * grain)), "with a mapping");
        assert!(refused(device.release(address, 2 * grain)), "half a reservation");
        device.unmap(address, 2 * grain).expect("unmapped");
        assert!(refused(device.unmap(address, 2 * grain)), "twice");
        device.destroy(block).expect("destroyed");
        device.release(address, 4 * grain).expect("released");
        assert!(refused(device.release(address, 4 * grain)), "twice");
    }
    drop(device);
    assert_eq!(fake.live(), Live::default());
}

#[test]
fn blocks_that_were_placed_side_by_side_are_allowed_and_unmapped_at_once() {
    let fake = fake_cuda::load();
    let mut device = open(&fake);
    let (grain, both) = (2 * MIB, 4 * MIB);
    let start = device.reserve(both).expect("addresses");
    let blocks = [(); 2].map(|()| device.create(grain).expect("memory"));
    for (block, at) in blocks.iter().zip([start, start.plus(grain)]) {
        // SAFETY: Reserved, nothing there, a new block.
        unsafe { device.place(at, block) }.expect("placed");
    }
    // SAFETY: Nobody may touch it yet, and the driver refuses.
    let early = unsafe { device.write(start, &[1]) };
    assert_eq!(early, Err(DeviceFault::Refused { call: "cuMemcpyHtoDAsync_v2", code: 1 }));
    // SAFETY: Two whole blocks.
    unsafe { device.allow(start, both) }.expect("allowed");
    let (from, mut back) = (start.plus(grain - 2), [0; 4]);
    // SAFETY: Mapped and allowed, across the seam.
    unsafe { device.write(from, &[1, 2, 3, 4]) }.expect("written");
    // SAFETY: As above.
    unsafe { device.read(from, &mut back) }.expect("read");
    assert_eq!(back, [1, 2, 3, 4]);
    // SAFETY: Two whole blocks, and no work is left.
    unsafe { device.unmap_all(start, both) }.expect("unmapped");
    blocks.into_iter().for_each(|block| device.destroy(block).expect("destroyed"));
    // SAFETY: Nothing is mapped there.
    unsafe { device.release(start, both) }.expect("released");
    drop(device);
    assert_eq!((fake.live(), fake.misuses()), (Live::default(), 0));
}

#[test]
fn touching_addresses_without_memory_ends_the_process() {
    let fake = fake_cuda::load();
    let mut device = open(&fake);
    let bytes = device.granularity();
    let address = device.reserve(bytes).expect("addresses");
    let block = device.create(bytes).expect("memory");
    assert_eq!(touch(address), libc::SIGSEGV, "reserved");
    // SAFETY: Reserved, nothing there, a new block.
    unsafe { device.map(address, &block) }.expect("mapped");
    assert_eq!(touch(address), 0, "mapped");
    // SAFETY: Mapped with this size, no work is left.
    unsafe { device.unmap(address, bytes) }.expect("unmapped");
    assert_eq!(touch(address), libc::SIGSEGV, "unmapped");
}

/// Reads a byte in a child; gives the signal that ended it.
fn touch(address: DeviceAddress) -> i32 {
    // SAFETY: The child reads one byte and exits; it takes no lock and allocates nothing.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let byte: *const u8 = ptr::with_exposed_provenance(address.0 as usize);
        // SAFETY: The fake's memory is the host's. Where it is not mapped, the child dies, as it should.
        unsafe { byte.read_volatile() };
        // SAFETY: Ends the child without running what belongs to the parent.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: Waits for the child just made.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    if libc::WIFSIGNALED(status) { libc::WTERMSIG(status) } else { 0 }
}
