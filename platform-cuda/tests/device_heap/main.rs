//! Promises of the heap over device memory: blocks are apart, aligned and mapped; lack of memory and misuse
//! are values; what is free goes back; and the host touches no block. (A touch would end the test: there
//! is no memory behind the addresses on either side.)

mod model;
mod stage;

use ace_alloc::MisuseKind;
use ace_alloc_cuda::device::{DeviceAddress, DeviceFault};
use ace_alloc_cuda::heap::{DeviceHeap, HeapError, Settings};
use ace_alloc_tests::random::{self, Random};
use model::{Fault, LOST, Model, REFUSED};
use stage::{Op, Stage};

const MIB: u64 = 1 << 20;

fn settings() -> Settings {
    Settings { keep_bytes: 2 * MIB, ..Settings::new(512 * MIB) }
}

fn free(heap: &DeviceHeap<Model>, address: DeviceAddress) -> Result<(), HeapError> {
    // SAFETY: there is no device, so nothing works on it.
    unsafe { heap.free(address) }
}

#[test]
fn blocks_are_apart_aligned_and_mapped() {
    let seed = random::seed();
    let shapes = [(2 * MIB, 0, 256), (2 * MIB, 8 * MIB, 16), (4096, 0, 4096), (65536, 0, 16384)];
    for (round, (granularity, granule_bytes, min_align)) in shapes.into_iter().enumerate() {
        for case in 0..u64::from(random::cases(4)) {
            let settings = Settings { granule_bytes, min_align, ..settings() };
            let mut stage = Stage::new(granularity, settings);
            stage.play(&Op::script(seed + case * 10 + round as u64, 4000));
            stage.finish();
        }
    }
}

#[test]
fn memory_that_is_used_up_is_an_answer_and_comes_back_in_full() {
    let limit_bytes = 64 * MIB;
    let granules = [(0, 64), (8 * MIB, 64), (64 * MIB, 64)];
    for (granule_bytes, most) in granules {
        let mut stage = Stage::new(2 * MIB, Settings { granule_bytes, limit_bytes, ..settings() });
        for _ in 0..most {
            stage.step(Op::Allocate(limit_bytes / most, 1));
        }
        assert_eq!(stage.refusals, 0, "blocks begin at a granule and fill it");
        stage.finish();
    }
    let mut random = Random::new(random::seed() + 3);
    for (bytes, most_lost) in [(256, 0), (5000, 6), (16 << 10, 0), (90 << 10, 8), (3 * MIB, 2)] {
        let mut stage = Stage::new(2 * MIB, Settings { limit_bytes, ..settings() });
        let fill = |stage: &mut Stage| {
            let before = stage.heap.stats().blocks;
            stage.refusals = 0;
            while stage.refusals == 0 {
                stage.step(Op::Allocate(bytes, 1));
            }
            stage.check();
            stage.heap.stats().blocks - before
        };
        let all = fill(&mut stage);
        let lost = 100 - 100 * all * bytes / limit_bytes;
        assert!(lost <= most_lost, "{bytes}: {lost} % of the memory is in no block");
        for _ in 0..all / 2 {
            stage.step(Op::Free(random.below(1 << 20)));
        }
        // The edges of a granule in use may lie beside addresses that are not taken next.
        assert!(fill(&mut stage) + 2 * MIB / bytes >= all / 2, "{bytes}: holes are filled");
        stage.free_all();
        assert_eq!(fill(&mut stage), all, "{bytes}: nothing was lost");
        // Other sizes find the room that these leave.
        stage.free_all();
        stage.refusals = 0;
        stage.step(Op::Allocate(60 * MIB, 1));
        assert_eq!(stage.refusals, 0, "{bytes}: what is kept stands in nobody's way");
        stage.finish();
    }
}

/// Plays a script under a fault, then without it: nothing is lost.
fn survives(script: &[Op], fault: Fault, answer: DeviceFault) {
    let mut stage = Stage::new(2 * MIB, settings());
    stage.faults_are_fine = true;
    stage.model.set_fault(fault, answer);
    stage.play(script);
    stage.model.set_fault(Fault::Never, answer);
    stage.faults_are_fine = false;
    stage.refusals = 0;
    stage.play(script);
    assert_eq!(stage.refusals, 0, "{fault:?}, {answer}: no memory after the fault is gone");
    stage.finish();
}

#[test]
fn a_failing_call_of_the_device_loses_nothing() {
    let script = Op::script(random::seed() + 1, 300);
    let mut stage = Stage::new(2 * MIB, settings());
    stage.play(&script);
    let calls = stage.model.account().calls;
    stage.finish();
    assert!(calls > 50, "{calls} calls: too few to be a test");
    for call in 0..calls {
        for answer in [DeviceFault::OutOfMemory, REFUSED] {
            survives(&script, Fault::Call(call), answer);
        }
    }
    for call in (0..calls).step_by(7) {
        survives(&script, Fault::From(call), DeviceFault::OutOfMemory);
        survives(&script, Fault::From(call), REFUSED);
    }
}

#[test]
fn a_device_that_is_lost_is_told_and_frees_go_on() {
    let script = Op::script(random::seed() + 2, 300);
    for call in (0..400).step_by(9) {
        let mut stage = Stage::new(2 * MIB, settings());
        stage.faults_are_fine = true;
        stage.model.set_fault(Fault::From(call), LOST);
        for op in &script {
            // Blocks may be handed out of memory that was mapped before; it is gone all the same.
            if !matches!(op, Op::Free(_)) || stage.model.account().faults == 0 {
                stage.step(*op);
            }
        }
        let large = stage.heap.allocate(300 * MIB, 1);
        assert_eq!(large, Err(HeapError::Device(LOST)), "lost at call {call}");
        stage.abandon();
        stage.heap.trim(0);
        assert_eq!(stage.heap.stats().mapped_bytes, 0, "it has nothing of ours any more");
    }
    assert_eq!(HeapError::Device(LOST).to_string(), LOST.to_string());
}

#[test]
fn what_a_device_refused_is_not_the_reason_of_later_failures() {
    let mut stage = Stage::new(2 * MIB, settings());
    stage.step(Op::Allocate(10 * MIB, 1));
    stage.model.set_fault(Fault::From(0), REFUSED);
    stage.free_all();
    assert_eq!((stage.heap.trim(0), stage.heap.stats().mapped_bytes), (0, 10 * MIB));
    let refused = stage.heap.allocate(20 * MIB, 1);
    assert_eq!(refused, Err(HeapError::Device(REFUSED)));
    stage.model.set_fault(Fault::Never, REFUSED);
    let bytes = 600 * MIB;
    assert_eq!(stage.heap.allocate(bytes, 1), Err(HeapError::OutOfMemory { bytes }));
    stage.finish();
}

#[test]
fn misuse_is_told_by_its_kind_and_changes_nothing() {
    let model = Model::new(2 * MIB, 1 << 30);
    let heap = DeviceHeap::new(model.clone(), settings()).expect("good settings");
    let is = |told: Result<(), HeapError>, kind, address| {
        assert_eq!(told, Err(HeapError::Misuse { kind, address }));
    };
    let nowhere = DeviceAddress(0x1234);
    is(free(&heap, nowhere), MisuseKind::Foreign, nowhere);
    is(heap.size_of(nowhere).map(drop), MisuseKind::Foreign, nowhere);
    assert_eq!(model.account().calls, 0, "a question sets nothing aside");
    for bytes in [1, 256, 4096, 20_000, 300_000, 5 * MIB] {
        let (block, other) = (heap.allocate(bytes, 1).unwrap(), heap.allocate(bytes, 1).unwrap());
        let size = heap.size_of(block).unwrap();
        for inside in [1, 16, 255, size / 2, size - 1].map(|at| block.plus(at)) {
            is(free(&heap, inside), MisuseKind::Interior, inside);
            is(heap.size_of(inside).map(drop), MisuseKind::Interior, inside);
        }
        assert_eq!(heap.stats().blocks, 2);
        free(&heap, block).unwrap();
        // A large block is a slab of its own: once it is free, nothing is known of it.
        let kind =
            if bytes > 40 << 10 { MisuseKind::NeverAllocated } else { MisuseKind::DoubleFree };
        is(free(&heap, block), kind, block);
        is(heap.size_of(block).map(drop), kind, block);
        free(&heap, other).unwrap();
        is(free(&heap, other), MisuseKind::NeverAllocated, other);
        heap.audit().unwrap();
        assert_eq!((heap.stats().blocks, heap.stats().live_bytes), (0, 0));
    }
    for foreign in [DeviceAddress(0), DeviceAddress(u64::MAX), DeviceAddress(0x7_0000_0000)] {
        is(free(&heap, foreign), MisuseKind::Foreign, foreign);
        assert!(!heap.owns(foreign));
    }
}

#[test]
fn what_cannot_be_is_told() {
    let heap = DeviceHeap::new(Model::new(2 * MIB, 1 << 30), settings()).expect("good settings");
    assert_eq!(heap.allocate(0, 256), Err(HeapError::ZeroBytes));
    for align in [0, 3, 4 * MIB, 1 << 63] {
        let told = HeapError::Alignment { align, most: 2 * MIB };
        assert_eq!(heap.allocate(100, align), Err(told));
    }
    for bytes in [513 * MIB, 1 << 40, 1 << 62, u64::MAX] {
        assert_eq!(heap.allocate(bytes, 1), Err(HeapError::OutOfMemory { bytes }));
    }
    for min_align in [0, 8, 48, 65536] {
        let settings = Settings { min_align, ..settings() };
        let told = DeviceHeap::new(Model::new(2 * MIB, 1 << 30), settings).err();
        assert_eq!(told, Some(HeapError::Alignment { align: min_align, most: 32768 }));
    }
    let mut stage = Stage::new(2 * MIB, Settings { range_bytes: 64 * MIB, ..settings() });
    while stage.refusals == 0 {
        stage.step(Op::Allocate(16 << 10, 1));
    }
    let most = stage.heap.stats().live_bytes;
    assert!(most >= 30 * MIB, "{most} bytes of addresses are used up");
    stage.free_all();
    stage.step(Op::Allocate(most, 1));
    assert_eq!(stage.refusals, 1, "addresses of slabs serve a large block");
    stage.finish();
    let tight = Settings { range_bytes: 4096, ..settings() };
    let heap = DeviceHeap::new(Model::new(2 * MIB, 1 << 30), tight).expect("good settings");
    assert_eq!(heap.allocate(1, 1), Err(HeapError::OutOfMemory { bytes: 1 }), "no addresses");
}

#[test]
fn freed_memory_goes_back_beyond_what_is_kept() {
    for bytes in [4096, 100 << 10, 3 * MIB] {
        let settings = Settings { keep_bytes: 8 * MIB, ..settings() };
        let mut stage = Stage::new(2 * MIB, settings);
        for _ in 0..400 * MIB / bytes {
            stage.step(Op::Allocate(bytes, 1));
        }
        assert_eq!(stage.refusals, 0);
        stage.free_all();
        let kept = stage.heap.stats().mapped_bytes;
        assert!(kept <= 8 * MIB + 4 * MIB, "{bytes}: {kept} bytes are kept");
        assert_eq!(stage.heap.trim(0), kept);
        assert_eq!(stage.heap.stats().mapped_bytes, 0);
        stage.finish();
        // And what is to be kept is kept.
        let mut stage = Stage::new(2 * MIB, Settings { keep_bytes: 64 * MIB, ..settings });
        for _ in 0..60 * MIB / bytes {
            stage.step(Op::Allocate(bytes, 1));
        }
        stage.free_all();
        assert!(stage.heap.stats().mapped_bytes >= 60 * MIB, "{bytes}: it was wanted");
        stage.finish();
    }
}

#[test]
fn the_limit_can_be_moved() {
    let mut stage = Stage::new(2 * MIB, settings());
    stage.heap.set_limit_bytes(8 * MIB);
    stage.step(Op::Allocate(6 * MIB, 1));
    stage.step(Op::Allocate(6 * MIB, 1));
    assert_eq!((stage.refusals, stage.heap.stats().limit_bytes), (1, 8 * MIB));
    assert_eq!(stage.heap.stats().mapped_bytes, 6 * MIB, "the half of what was refused");
    stage.heap.set_limit_bytes(12 * MIB);
    stage.step(Op::Allocate(6 * MIB, 1));
    assert_eq!(stage.refusals, 1);
    // Below what is held: that stays, and nothing more comes.
    stage.heap.set_limit_bytes(MIB);
    stage.step(Op::Allocate(MIB, 1));
    assert_eq!((stage.refusals, stage.heap.stats().blocks), (2, 2));
    stage.finish();
}

#[test]
fn a_heap_that_is_dropped_leaves_memory_with_blocks_in_it() {
    let model = Model::new(2 * MIB, 1 << 30);
    let heap = DeviceHeap::new(model.clone(), settings()).expect("good settings");
    let block = heap.allocate(100, 1).unwrap();
    let large = heap.allocate(20 * MIB, 1).unwrap();
    free(&heap, large).unwrap();
    drop(heap);
    assert!(model.is_mapped(block, 256) && !model.account().reserved.is_empty());
    assert_eq!(model.account().created, 2 * MIB, "and gives the rest back");
}

fn free_after(heap: &DeviceHeap<Model>, address: DeviceAddress) -> Result<(), HeapError> {
    // SAFETY: there is no device, so nothing works on it and there is no queue.
    unsafe { heap.free_after(address, 0) }
}

#[test]
fn a_block_that_a_queue_still_uses_stays_until_the_queue_has_ended() {
    let model = Model::new(2 * MIB, 1 << 30);
    let heap = DeviceHeap::new(model.clone(), settings()).expect("good settings");
    let blocks = [(); 3].map(|()| heap.allocate(10 * MIB, 1).unwrap());
    for block in blocks {
        free_after(&heap, block).unwrap();
        let kind = MisuseKind::DoubleFree;
        let again = Err(HeapError::Misuse { kind, address: block });
        assert_eq!((free_after(&heap, block), free(&heap, block)), (again, again));
    }
    let held = || (heap.stats().blocks, heap.stats().waiting, heap.trim(0) / (10 * MIB));
    assert_eq!(held(), (3, 3, 0));
    model.account().reached[0] = 2;
    assert!(model.is_mapped(blocks[0], 10 * MIB));
    assert_eq!((held(), held()), ((3, 3, 2), (1, 1, 0)), "two of them are done");
    assert!(model.is_mapped(blocks[2], 10 * MIB) && !model.is_mapped(blocks[0], 1));
    // Memory that runs out is reason enough to look.
    let all = heap.allocate(512 * MIB, 1);
    assert_eq!(all, Err(HeapError::OutOfMemory { bytes: 512 * MIB }));
    model.account().reached[0] = 3;
    free(&heap, heap.allocate(512 * MIB, 1).unwrap()).unwrap();
    // A queue that can't be marked leaves the block with its owner.
    let block = heap.allocate(100, 1).unwrap();
    let unknown = DeviceAddress(7);
    let told = HeapError::Misuse { kind: MisuseKind::Foreign, address: unknown };
    assert_eq!(free_after(&heap, unknown), Err(told));
    model.set_fault(Fault::From(0), REFUSED);
    assert_eq!(free_after(&heap, block), Err(HeapError::Device(REFUSED)));
    model.set_fault(Fault::Never, REFUSED);
    assert_eq!(heap.stats().waiting, 0);
    free_after(&heap, block).unwrap();
    // The next one finds it ready; a lost device is ready with everything.
    model.account().reached[0] = 4;
    let other = heap.allocate(100, 1).unwrap();
    free_after(&heap, other).unwrap();
    assert_eq!((heap.stats().blocks, heap.stats().waiting), (1, 1));
    model.set_fault(Fault::From(0), LOST);
    heap.trim(0);
    assert_eq!((heap.stats().blocks, heap.stats().waiting), (0, 0));
}

#[test]
fn a_queue_that_is_behind_holds_up_only_its_own_blocks() {
    let model = Model::new(2 * MIB, 1 << 30);
    let heap = DeviceHeap::new(model.clone(), settings()).expect("good settings");
    for queue in [0, 1] {
        let block = heap.allocate(10 * MIB, 1).unwrap();
        // SAFETY: there is no device, so nothing works on it; the model has two queues.
        unsafe { heap.free_after(block, queue) }.unwrap();
    }
    model.account().reached[1] = 1;
    assert_eq!((heap.trim(0), heap.stats().waiting), (10 * MIB, 1));
}

#[test]
fn threads_share_a_heap() {
    let seed = random::seed();
    let heap = DeviceHeap::new(Model::new(2 * MIB, 1 << 36), settings()).expect("good settings");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let heap = &heap;
            scope.spawn(move || {
                let mut mine = Vec::new();
                for op in Op::script(seed + 100 + thread, 3000) {
                    match op {
                        Op::Allocate(bytes, align) => {
                            mine.extend(heap.allocate(bytes.min(MIB), align));
                        }
                        Op::Free(number) if !mine.is_empty() => {
                            let block = mine.swap_remove(number % mine.len());
                            free(heap, block).expect("a live block of this thread");
                        }
                        Op::Free(_) => {}
                        Op::Trim(keep) => drop(heap.trim(keep)),
                    }
                }
                for block in mine {
                    free(heap, block).expect("a live block of this thread");
                }
            });
        }
    });
    heap.audit().expect("the tables agree");
    heap.trim(0);
    let stats = heap.stats();
    assert_eq!((stats.blocks, stats.live_bytes, stats.mapped_bytes), (0, 0, 0));
}
