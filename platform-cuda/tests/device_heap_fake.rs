//! The heap over the fake CUDA driver: blocks keep what is copied to them while others come and go, a block
//! freed after a stream's work stays until then, and the driver gets everything back. Floor: garden.

use ace_alloc_cuda::device::{Device, DeviceAddress, Lane};
use ace_alloc_cuda::driver::{CudaDevice, Library};
use ace_alloc_cuda::heap::{DeviceHeap, HeapError, Settings};
use ace_alloc_tests::fake_cuda::{self, Fake, Live};
use ace_alloc_tests::random::{self, Random};
use std::ptr::NonNull;

const MIB: u64 = 1 << 20;

/// The heap has a handle of its own: a device is one, but who drives it are two.
fn open(fake: &Fake) -> CudaDevice {
    // SAFETY: The fake has the driver's ABI.
    let library = unsafe { Library::open(fake.path()) }.expect("a driver");
    let mut device = CudaDevice::open(library, 0).expect("a device");
    device.attach().expect("attached");
    device
}

/// One piece of pinned memory, through which a block is filled and checked.
struct Window {
    device: CudaDevice,
    pinned: NonNull<u8>,
}

const WINDOW: usize = 64 << 10;

impl Window {
    fn wait(&mut self, lane: Lane) {
        let mut mark = self.device.mark(lane).expect("a mark");
        while !self.device.is_ready(&mut mark).expect("no fault") {}
    }

    /// Queues a copy out of a block, and does not wait for it.
    fn read(&mut self, block: DeviceAddress, bytes: u64) {
        let bytes = WINDOW.min(bytes as usize);
        // SAFETY: both sides hold as many bytes; who calls waits before they are touched.
        unsafe { self.device.copy_out(self.pinned, block, bytes) }.expect("queued");
    }

    fn fill(&mut self, block: DeviceAddress, bytes: u64, stamp: u8) {
        let bytes = WINDOW.min(bytes as usize);
        self.wait(Lane::Out);
        // SAFETY: the window is that long, and no copy is under way.
        unsafe { self.pinned.write_bytes(stamp, bytes) };
        // SAFETY: both sides hold as many bytes and are left alone until the mark.
        unsafe { self.device.copy_in(block, self.pinned, bytes) }.expect("queued");
        self.wait(Lane::In);
    }

    fn check(&mut self, block: DeviceAddress, bytes: u64, stamp: u8) {
        self.read(block, bytes);
        self.wait(Lane::Out);
        let bytes = WINDOW.min(bytes as usize);
        // SAFETY: the window is that long, and the copy has ended.
        let found = unsafe { std::slice::from_raw_parts(self.pinned.as_ptr(), bytes) };
        let wrong = found.iter().position(|byte| *byte != stamp);
        assert_eq!(wrong, None, "{block:x?}: another block's contents");
    }
}

#[test]
fn blocks_keep_their_contents_and_the_driver_gets_all_back() {
    let fake = fake_cuda::load();
    let mut random = Random::new(random::seed());
    let heap =
        DeviceHeap::new(open(&fake), Settings { keep_bytes: 2 * MIB, ..Settings::new(64 * MIB) })
            .expect("good settings");
    let mut device = open(&fake);
    let pinned = device.pin(WINDOW).expect("pinned");
    let mut window = Window { device, pinned };
    let mut live = Vec::new();
    for step in 0..600_u32 {
        if live.is_empty() || random.below(100) < 55 {
            let bytes = 1 + random.draw() % [4096, 100 << 10, 2 * MIB][random.below(3)];
            match heap.allocate(bytes, 1) {
                Ok(block) => {
                    window.fill(block, bytes, step as u8);
                    live.push((block, bytes, step as u8));
                }
                Err(told) => assert_eq!(told, HeapError::OutOfMemory { bytes }),
            }
        } else {
            let (block, bytes, stamp) = live.swap_remove(random.below(live.len()));
            window.check(block, bytes, stamp);
            if step % 2 == 0 {
                // SAFETY: the copies have ended, and nothing else uses it.
                unsafe { heap.free(block) }.expect("a live block");
            } else {
                window.read(block, bytes);
                let queue = window.device.lane(Lane::Out).as_queue();
                // SAFETY: the stream is the device's, and what it does now is all that uses the block.
                unsafe { heap.free_after(block, queue) }.expect("a live block");
            }
        }
    }
    heap.audit().expect("the tables agree");
    assert!(heap.stats().mapped_bytes <= 64 * MIB && live.len() > 20);
    window.wait(Lane::Out);
    for (block, bytes, stamp) in live {
        window.check(block, bytes, stamp);
        // SAFETY: as above.
        unsafe { heap.free(block) }.expect("a live block");
    }
    heap.trim(0);
    let Live { blocks, mappings, .. } = fake.live();
    assert_eq!((blocks, mappings, heap.stats().mapped_bytes), (0, 0, 0));
    // SAFETY: from `pin`, and no copy uses it.
    unsafe { window.device.unpin(window.pinned) }.expect("unpinned");
    drop((window, heap));
    assert_eq!((fake.live(), fake.misuses()), (Live::default(), 0));
}
