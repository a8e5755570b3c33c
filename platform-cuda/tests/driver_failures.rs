//! Promises of a device on which calls fail: whichever it is, the fault is typed, nothing is left over,
//! contents are right or not there, and a lost device stays lost. Floor: garden.

#![cfg(feature = "driver")]

use ace_alloc_cuda::device::{Device, DeviceAddress, DeviceFault, Lane};
use ace_alloc_cuda::driver::{CudaDevice, Library, Mark};
use ace_alloc_tests::fake_cuda::{self, Fake, Live};
use std::ptr::NonNull;

/// A small device: a copy lasts 66 µs, and asking about it takes 10.
const BYTES: u64 = 128 << 10;
const SMALL: &str =
    "granularity_bytes=65536 in_bytes_per_second=2000000000 out_bytes_per_second=2000000000";

fn attached(fake: &Fake) -> CudaDevice {
    fake.configure(SMALL);
    // SAFETY: The fake has the driver's ABI.
    let library = unsafe { Library::open(fake.path()) }.expect("a driver");
    let mut device = CudaDevice::open(library, 0).expect("a device");
    device.attach().expect("attached");
    device
}

fn wait(device: &mut CudaDevice, mut mark: Mark) -> Result<(), DeviceFault> {
    while !device.is_ready(&mut mark)? {}
    Ok(())
}

/// Everything that a state goes through: in, out, and back to nothing. What was made is given back whatever
/// fails, as an engine does.
fn round_trip(device: &mut CudaDevice) -> Result<(), DeviceFault> {
    device.attach()?;
    device.memory()?;
    let host = device.pin(BYTES as usize)?;
    let result = with_addresses(device, host);
    // SAFETY: From `pin`; the copies have ended, or never will.
    let unpinned = unsafe { device.unpin(host) };
    result.and(unpinned)
}

fn with_addresses(device: &mut CudaDevice, host: NonNull<u8>) -> Result<(), DeviceFault> {
    let address = device.reserve(BYTES)?;
    let result = with_block(device, host, address);
    // SAFETY: Nothing is mapped there any more.
    let released = unsafe { device.release(address, BYTES) };
    result.and(released)
}

fn with_block(
    device: &mut CudaDevice,
    host: NonNull<u8>,
    address: DeviceAddress,
) -> Result<(), DeviceFault> {
    let block = device.create(BYTES)?;
    // SAFETY: Reserved, nothing there, a new block.
    let mut result = unsafe { device.map(address, &block) };
    if result.is_ok() {
        result = copies(device, host, address);
        // What a failed mark left under way is waited for, or unmapping would be too early.
        for lane in [Lane::In, Lane::Out] {
            result = result.and(idle(device, lane));
        }
        // SAFETY: Mapped with this size, and the copies have ended.
        let mut unmap = || unsafe { device.unmap(address, BYTES) };
        let first = unmap();
        // A refusal leaves it mapped, so it is asked again.
        result = result.and(first.or_else(|fault| unmap().and(Err(fault))));
    }
    result.and(device.destroy(block))
}

fn idle(device: &mut CudaDevice, lane: Lane) -> Result<(), DeviceFault> {
    device.lane(lane).synchronize().or_else(|fault| device.lane(lane).synchronize().and(Err(fault)))
}

fn copies(
    device: &mut CudaDevice,
    host: NonNull<u8>,
    address: DeviceAddress,
) -> Result<(), DeviceFault> {
    let bytes = BYTES as usize;
    // SAFETY: Both sides hold the bytes and stay until the lane is idle.
    unsafe { device.copy_in(address, host, bytes) }?;
    let mark = device.mark(Lane::In)?;
    wait(device, mark)?;
    // SAFETY: As above.
    unsafe { device.copy_out(host, address, bytes) }?;
    // SAFETY: The lane's stream exists.
    let mark = unsafe { device.mark_queue(device.lane(Lane::Out).as_queue()) }?;
    wait(device, mark)
}

#[test]
fn whichever_call_fails_once_the_fault_is_typed_and_nothing_is_left() {
    let fake = fake_cuda::load();
    for code in [2, 1, 999, 99_999] {
        let (mut faults, mut k) = (0, 0);
        loop {
            k += 1;
            fake.reset();
            let mut device = attached(&fake);
            let opened = fake.calls(None);
            fake.configure(&format!("fail=*:{k}:{code}"));
            match round_trip(&mut device) {
                Ok(()) => {}
                Err(DeviceFault::OutOfMemory) if code == 2 => faults += 1,
                Err(DeviceFault::Refused { code: seen, .. }) if seen == code => faults += 1,
                Err(other) => panic!("call {k} gave {code}: {other:?}"),
            }
            // The device is as good as before: nothing is in the way of the next round.
            fake.configure("fail=none");
            assert_eq!(round_trip(&mut device), Ok(()), "after call {k} gave {code}");
            let most = fake.calls(None) - opened;
            drop(device);
            assert_eq!((fake.live(), fake.misuses()), (Live::default(), 0), "call {k} gave {code}");
            if k > most {
                break;
            }
        }
        assert!(faults >= 14, "{faults} calls of a round made it fail with {code}");
    }
}

#[test]
fn whichever_call_loses_the_device_all_later_ones_say_so_and_nothing_is_left() {
    let fake = fake_cuda::load();
    for code in [700, 719, 226] {
        let (mut losses, mut k) = (0, 0);
        loop {
            k += 1;
            fake.reset();
            let mut device = attached(&fake);
            let opened = fake.calls(None);
            fake.configure(&format!("fail=*:{k}:{code}:lost"));
            let result = round_trip(&mut device);
            let calls = fake.calls(None) - opened;
            if calls < k {
                assert_eq!(result, Ok(()));
                break;
            }
            losses += 1;
            let lost = result.expect_err("a call failed");
            assert!(matches!(lost, DeviceFault::Lost { code: seen, .. } if seen == code), "{lost}");
            assert_all_lost(&mut device, lost);
            assert_eq!(fake.calls(None) - opened, calls, "the device is not asked again");
            drop(device);
            assert_eq!(fake.live(), Live::default(), "call {k} gave {code}");
        }
        assert!(losses >= 15, "{losses} calls in a round");
    }
}

/// Every method gives the first loss, with the call that told of it.
fn assert_all_lost(device: &mut CudaDevice, lost: DeviceFault) {
    let address = DeviceAddress(BYTES);
    assert_eq!(device.attach(), Err(lost));
    assert_eq!(device.memory().err(), Some(lost));
    assert_eq!(device.reserve(BYTES).err(), Some(lost));
    assert_eq!(device.create(BYTES).err(), Some(lost));
    assert_eq!(device.pin(4096).err(), Some(lost));
    assert_eq!(device.mark(Lane::In).err(), Some(lost));
    assert_eq!(device.stream().err(), Some(lost));
    assert_eq!(device.event().err(), Some(lost));
    assert_eq!(device.module(c".version 7.0 .target sm_52").err(), Some(lost));
    // SAFETY: A lost device does nothing with what it is given.
    unsafe {
        assert_eq!(device.release(address, BYTES), Err(lost));
        assert_eq!(device.unmap(address, BYTES), Err(lost));
        assert_eq!(device.unpin(NonNull::dangling()), Err(lost));
        assert_eq!(device.copy_in(address, NonNull::dangling(), 1), Err(lost));
        assert_eq!(device.copy_out(NonNull::dangling(), address, 1), Err(lost));
        assert_eq!(device.mark_queue(0).err(), Some(lost));
    }
}

#[test]
fn a_loss_while_a_copy_is_under_way_shows_at_its_mark_and_the_copy_is_not_made() {
    let fake = fake_cuda::load();
    let mut device = attached(&fake);
    let (host, address) =
        (device.pin(BYTES as usize).expect("pinned"), device.reserve(BYTES).expect("addresses"));
    let block = device.create(BYTES).expect("memory");
    // SAFETY: Reserved, nothing there, a new block.
    unsafe { device.map(address, &block) }.expect("mapped");
    // SAFETY: It holds a byte.
    unsafe { host.write(77) };
    // SAFETY: Both sides hold the bytes and stay.
    unsafe { device.copy_out(host, address, BYTES as usize) }.expect("queued");
    let mut mark = device.mark(Lane::Out).expect("marked");
    fake.configure("fail=cuEventQuery:2:719:lost");
    assert_eq!(device.is_ready(&mut mark), Ok(false));
    let lost = DeviceFault::Lost { call: "cuEventQuery", code: 719 };
    assert_eq!(device.is_ready(&mut mark), Err(lost));
    fake.pass(1_000_000_000);
    assert_eq!(device.is_ready(&mut mark), Err(lost));
    // SAFETY: Pinned, and no copy will be made to it.
    assert_eq!(unsafe { host.read() }, 77);
}

/// Queues a copy and takes its memory away before it is done.
fn too_early(fake: &Fake, take_away: impl FnOnce(&mut CudaDevice, NonNull<u8>, DeviceAddress)) {
    let mut device = attached(fake);
    let (host, address) =
        (device.pin(BYTES as usize).expect("pinned"), device.reserve(BYTES).expect("addresses"));
    let block = device.create(BYTES).expect("memory");
    // SAFETY: Reserved, nothing there, a new block.
    unsafe { device.map(address, &block) }.expect("mapped");
    // SAFETY: Against the trait, the memory goes too early; the fake looks before it touches it.
    unsafe { device.copy_in(address, host, BYTES as usize) }.expect("queued");
    let mark = device.mark(Lane::In).expect("marked");
    take_away(&mut device, host, address);
    let found = wait(&mut device, mark);
    assert!(matches!(found, Err(DeviceFault::Lost { code: 700, .. })), "{found:?}");
    assert_eq!(fake.misuses(), 1);
    drop(device);
    fake.reset();
}

#[test]
fn the_fake_notices_memory_that_goes_before_a_copy_is_done() {
    let fake = fake_cuda::load();
    too_early(&fake, |device, _, address| {
        // SAFETY: As `too_early` says.
        unsafe { device.unmap(address, BYTES) }.expect("unmapped");
    });
    too_early(&fake, |device, host, _| {
        // SAFETY: As `too_early` says.
        unsafe { device.unpin(host) }.expect("unpinned");
    });
}

#[test]
fn copies_from_memory_that_is_not_pinned_are_made_before_the_call_returns() {
    let fake = fake_cuda::load();
    let mut device = attached(&fake);
    let address = device.reserve(BYTES).expect("addresses");
    let block = device.create(BYTES).expect("memory");
    // SAFETY: Reserved, nothing there, a new block.
    unsafe { device.map(address, &block) }.expect("mapped");
    let mut host = vec![5_u8; BYTES as usize];
    let start = NonNull::new(host.as_mut_ptr()).expect("a vector");
    // SAFETY: Both sides hold the bytes.
    unsafe { device.copy_in(address, start, host.len()) }.expect("copied");
    host.fill(0);
    let start = NonNull::new(host.as_mut_ptr()).expect("a vector");
    // SAFETY: Both sides hold the bytes.
    unsafe { device.copy_out(start, address, host.len()) }.expect("copied");
    assert!(host.iter().all(|byte| *byte == 5));
}

#[test]
fn two_threads_may_use_one_library_at_once() {
    let fake = fake_cuda::load();
    fake.configure(SMALL);
    fake.configure("devices=2");
    // SAFETY: The fake has the driver's ABI.
    let library = unsafe { Library::open(fake.path()) }.expect("a driver");
    let rounds = |ordinal: u32| {
        let mut device = CudaDevice::open(library, ordinal).expect("a device");
        (0..20).try_for_each(|_| round_trip(&mut device))
    };
    std::thread::scope(|scope| {
        let threads = [0, 1, 0, 1].map(|ordinal| scope.spawn(move || rounds(ordinal)));
        for thread in threads {
            assert_eq!(thread.join().expect("no panic"), Ok(()));
        }
    });
    assert_eq!((fake.live(), fake.misuses()), (Live::default(), 0));
}
