//! Promises of modules and launches: kernels run in the order of their stream, a mark on it comes after
//! them, and what a kernel does wrong loses the device. Floor: garden.

#![cfg(feature = "driver")]

use ace_alloc_cuda::device::{Device, DeviceAddress, DeviceFault, Lane};
use ace_alloc_cuda::driver::{Argument, CudaDevice, Function, Grid, Library};
use ace_alloc_tests::fake_cuda::{self, Fake, Live};
use std::ffi::CStr;

const BYTES: u64 = 2 << 20;
/// Numbers of 4 bytes.
const WORDS: u64 = BYTES / 4;
const GRID: Grid = Grid { blocks: [512, 1, 1], threads: [256, 1, 1] };
/// Only the names of the entries matter to the fake, which runs twins of them.
const PTX: &CStr = c".version 7.0\n.target sm_52\n.address_size 64\n\
    .visible .entry ace_fill(\n.param .u64 to, .param .u64 words, .param .u32 value) { ret; }\n\
    .visible .entry ace_checksum (.param .u64 from, .param .u64 words, .param .u64 sum) { ret; }\n\
    .visible .entry ace_saxpy(.param .u64 y, .param .u64 x, .param .u64 n, .param .f32 a) { ret; }\n\
    .visible .entry nobodys() { ret; }\n";

fn open(fake: &Fake) -> CudaDevice {
    // SAFETY: The fake has the driver's ABI.
    let library = unsafe { Library::open(fake.path()) }.expect("a driver");
    let mut device = CudaDevice::open(library, 0).expect("a device");
    device.attach().expect("attached");
    device
}

/// Mapped memory of `BYTES`.
fn mapped(device: &mut CudaDevice) -> DeviceAddress {
    let address = device.reserve(BYTES).expect("addresses");
    let block = device.create(BYTES).expect("memory");
    // SAFETY: Reserved, nothing there, a new block.
    unsafe { device.map(address, &block) }.expect("mapped");
    address
}

fn kernels<const N: usize>(device: &CudaDevice, names: [&CStr; N]) -> [Function; N] {
    let module = device.module(PTX).expect("a module");
    names.map(|name| module.function(name).expect("a kernel"))
}

/// What is at an address, once the stream of a kernel was waited for.
fn read<T>(device: &mut CudaDevice, from: DeviceAddress) -> T {
    let host = device.pin(size_of::<T>()).expect("pinned");
    // SAFETY: Both sides hold the bytes.
    unsafe { device.copy_out(host, from, size_of::<T>()) }.expect("queued");
    device.lane(Lane::Out).synchronize().expect("no fault");
    // SAFETY: The copy is done, and any bits are a number.
    let value = unsafe { host.cast::<T>().read() };
    // SAFETY: From `pin`, and unused.
    unsafe { device.unpin(host) }.expect("unpinned");
    value
}

#[test]
fn a_mark_on_a_stream_of_the_callers_comes_after_its_kernels() {
    let fake = fake_cuda::load();
    let mut device = open(&fake);
    let address = mapped(&mut device);
    let stream = device.stream().expect("a stream");
    let [fill] = kernels(&device, [c"ace_fill"]);
    let (start, end) = (device.event().expect("an event"), device.event().expect("an event"));
    start.record(&stream).expect("recorded");
    let arguments = [Argument::Address(address), Argument::U64(WORDS), Argument::U32(0x0706_0504)];
    // SAFETY: The kernel's arguments, and memory that stays until the mark is ready.
    unsafe { fill.launch(GRID, &stream, &arguments) }.expect("launched");
    end.record(&stream).expect("recorded");
    // SAFETY: The stream lives.
    let mut mark = unsafe { device.mark_queue(stream.as_queue()) }.expect("marked");
    assert!(!device.is_ready(&mut mark).expect("no fault"));
    while !device.is_ready(&mut mark).expect("no fault") {}
    let elapsed = end.milliseconds_since(&start).expect("both are ready");
    assert!((0.1..0.2).contains(&elapsed), "{elapsed} ms of the fake's time for a kernel of 0.1");
    assert_eq!(read::<[u8; 4]>(&mut device, address.plus(BYTES - 4)), [4, 5, 6, 7]);
}

#[test]
fn kernels_of_one_stream_run_in_order_and_those_of_others_when_their_event_has_come() {
    let fake = fake_cuda::load();
    let mut device = open(&fake);
    let [x, y, sum] = [(); 3].map(|()| mapped(&mut device));
    let [fill, saxpy, checksum] = kernels(&device, [c"ace_fill", c"ace_saxpy", c"ace_checksum"]);
    let (first, second) = (device.stream().expect("a stream"), device.stream().expect("a stream"));
    let filled = device.event().expect("an event");
    let words = Argument::U64(WORDS);
    let bits = |value: f32| Argument::U32(value.to_bits());
    // SAFETY: Each has the kernel's arguments; the memory stays, and the event orders the streams.
    unsafe {
        fill.launch(GRID, &first, &[Argument::Address(x), words, bits(3.0)]).expect("launched");
        fill.launch(GRID, &first, &[Argument::Address(y), words, bits(1.0)]).expect("launched");
        filled.record(&first).expect("recorded");
        second.wait(&filled).expect("queued");
        let arguments = [Argument::Address(y), Argument::Address(x), words, Argument::F32(2.0)];
        saxpy.launch(GRID, &second, &arguments).expect("launched");
        let arguments = [Argument::Address(y), words, Argument::Address(sum)];
        checksum.launch(GRID, &second, &arguments).expect("launched");
    }
    second.synchronize().expect("no fault");
    assert!(filled.is_ready().expect("no fault"));
    // 2 × 3 + 1 everywhere.
    assert!((read::<f32>(&mut device, y.plus(BYTES / 2)) - 7.0).abs() < f32::EPSILON);
    assert_eq!(read::<u64>(&mut device, sum), WORDS * u64::from(7_f32.to_bits()));
}

#[test]
fn a_kernel_that_touches_unmapped_memory_loses_the_device() {
    let fake = fake_cuda::load();
    let mut device = open(&fake);
    let address = mapped(&mut device);
    let stream = device.stream().expect("a stream");
    let [fill] = kernels(&device, [c"ace_fill"]);
    let too_long = [Argument::Address(address), Argument::U64(WORDS + 1), Argument::U32(0)];
    // SAFETY: One number too many, against the promise; the fake looks before it writes.
    unsafe { fill.launch(GRID, &stream, &too_long) }.expect("launched");
    let lost = DeviceFault::Lost { call: "cuStreamSynchronize", code: 700 };
    assert_eq!(stream.synchronize(), Err(lost));
    assert_eq!(device.memory().err(), Some(lost));
    assert_eq!(fake.misuses(), 1);
    drop((fill, stream, device));
    assert_eq!(fake.live(), Live::default());
}

#[test]
fn bad_modules_and_launches_are_refused() {
    let fake = fake_cuda::load();
    let device = open(&fake);
    let refused = |call, code| DeviceFault::Refused { call, code };
    assert_eq!(device.module(c"no ptx").err(), Some(refused("cuModuleLoadData", 200)));
    let module = device.module(PTX).expect("a module");
    for name in [c"ace_sort", c"nobodys", c""] {
        let found = module.function(name).err();
        assert_eq!(found, Some(refused("cuModuleGetFunction", 500)), "{name:?}");
    }
    let (stream, [fill]) = (device.stream().expect("a stream"), kernels(&device, [c"ace_fill"]));
    let arguments = [Argument::U64(0), Argument::U64(0), Argument::U32(0)];
    for (blocks, threads) in [([0, 1, 1], [1, 1, 1]), ([1, 1, 1], [1025, 1, 1])] {
        // SAFETY: The kernel's arguments; it would touch nothing.
        let launched = unsafe { fill.launch(Grid { blocks, threads }, &stream, &arguments) };
        assert_eq!(launched, Err(refused("cuLaunchKernel", 1)));
    }
    drop((module, fill, stream, device));
    assert_eq!(fake.live(), Live::default());
}

#[test]
fn a_kernel_keeps_its_module() {
    let fake = fake_cuda::load();
    let mut device = open(&fake);
    let address = mapped(&mut device);
    let [fill, other] = kernels(&device, [c"ace_fill", c"ace_saxpy"]);
    assert_eq!(fake.live().modules, 1, "nobody else holds it");
    drop(other);
    let stream = device.stream().expect("a stream");
    let arguments = [Argument::Address(address), Argument::U64(1), Argument::U32(9)];
    // SAFETY: The kernel's arguments, and memory that stays.
    unsafe { fill.launch(GRID, &stream, &arguments) }.expect("launched");
    stream.synchronize().expect("no fault");
    assert_eq!(read::<u32>(&mut device, address), 9);
    drop(fill);
    assert_eq!(fake.live().modules, 0);
}

#[test]
fn arguments_are_read_when_the_kernel_is_launched() {
    let fake = fake_cuda::load();
    let mut device = open(&fake);
    let address = mapped(&mut device);
    let stream = device.stream().expect("a stream");
    let [fill] = kernels(&device, [c"ace_fill"]);
    for value in 1..4 {
        let at = Argument::Address(address.plus(u64::from(value) * 4));
        // SAFETY: The kernel's arguments, and memory that stays.
        unsafe { fill.launch(GRID, &stream, &[at, Argument::U64(1), Argument::U32(value)]) }
            .expect("launched");
    }
    stream.synchronize().expect("no fault");
    assert_eq!(read::<[u32; 3]>(&mut device, address.plus(4)), [1, 2, 3]);
}
