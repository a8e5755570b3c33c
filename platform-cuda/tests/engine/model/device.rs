//! The model as a [`Device`]: what the engine asks of it, and what it must not ask.

use super::{
    Block, CALLER_QUEUES, Failure, GRAIN, HostPointer, Mark, Model, Work, lane_queue, overlap,
};
use ace_alloc_cuda::device::{Device, DeviceAddress, DeviceFault, DeviceMemory, Lane};
use std::{
    alloc::{Layout, alloc, dealloc},
    ptr::NonNull,
    sync::{Arc, Mutex, MutexGuard},
};

/// The device as the engine holds it; the model behind it can be looked at beside.
#[derive(Clone)]
pub struct ModelDevice(Arc<Mutex<Model>>);

impl ModelDevice {
    pub fn new(seed: u64, memory_bytes: u64) -> Self {
        Self(Arc::new(Mutex::new(Model::new(seed, memory_bytes))))
    }

    pub fn model(&self) -> MutexGuard<'_, Model> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

// SAFETY: addresses are counted up; pinned memory is allocated; a mark is ready when as much work of its
// queue has ended as was queued before it.
unsafe impl Device for ModelDevice {
    type Block = u64;
    type Mark = Mark;

    fn attach(&mut self) -> Result<(), DeviceFault> {
        self.model().call("attach")
    }

    fn granularity(&self) -> u64 {
        GRAIN
    }

    fn memory(&mut self) -> Result<DeviceMemory, DeviceFault> {
        let mut model = self.model();
        model.call("memory")?;
        let total_bytes = model.memory_bytes;
        let free_bytes = total_bytes.saturating_sub(model.created_bytes());
        Ok(DeviceMemory { free_bytes, total_bytes })
    }

    fn reserve(&mut self, bytes: u64) -> Result<DeviceAddress, DeviceFault> {
        assert!(bytes > 0 && bytes.is_multiple_of(GRAIN));
        let mut model = self.model();
        model.call("reserve")?;
        let start = model.next * GRAIN;
        model.next += bytes / GRAIN + 1;
        model.reserved.insert(start, bytes);
        Ok(DeviceAddress(start))
    }

    unsafe fn release(&mut self, start: DeviceAddress, bytes: u64) -> Result<(), DeviceFault> {
        let mut model = self.model();
        model.call("release")?;
        let range = start.0..start.0 + bytes;
        let mapped = model.mapped.iter().any(|(at, it)| overlap(&(*at..at + it.0), &range));
        assert!(!mapped, "released while something is mapped there");
        assert_eq!(model.reserved.remove(&start.0), Some(bytes), "released what was not reserved");
        Ok(())
    }

    fn create(&mut self, bytes: u64) -> Result<u64, DeviceFault> {
        assert!(bytes > 0 && bytes.is_multiple_of(GRAIN));
        let mut model = self.model();
        model.call("create")?;
        if model.created_bytes() + bytes > model.memory_bytes {
            return Err(DeviceFault::OutOfMemory);
        }
        let garbage = model.random.draw() as u8;
        let block = Block { bytes: vec![garbage; bytes as usize], mapped_at: None };
        model.next += 1;
        let id = model.next;
        model.blocks.insert(id, block);
        model.creates += 1;
        model.most_created_bytes = model.most_created_bytes.max(model.created_bytes());
        Ok(id)
    }

    fn destroy(&mut self, block: u64) -> Result<(), DeviceFault> {
        let mut model = self.model();
        let answer = model.call("destroy");
        let block = model.blocks.remove(&block).expect("destroyed once");
        // A device that never answers is given up with all that is mapped there.
        let may_be_mapped = model.refuses_marks();
        assert!(block.mapped_at.is_none() || may_be_mapped, "destroyed while it is mapped");
        answer
    }

    unsafe fn map(&mut self, start: DeviceAddress, block: &u64) -> Result<(), DeviceFault> {
        let mut model = self.model();
        model.call("map")?;
        let bytes = model.blocks[block].bytes.len() as u64;
        let range = start.0..start.0 + bytes;
        let within =
            model.reserved.iter().any(|(at, it)| *at <= range.start && range.end <= at + it);
        assert!(within, "mapped where nothing is reserved");
        let taken = model.mapped.iter().any(|(at, it)| overlap(&(*at..at + it.0), &range));
        assert!(!taken, "mapped twice");
        let entry = model.blocks.get_mut(block).expect("a block");
        assert_eq!(entry.mapped_at.replace(start.0), None, "one block at two places");
        model.mapped.insert(start.0, (bytes, *block));
        Ok(())
    }

    unsafe fn unmap(&mut self, start: DeviceAddress, bytes: u64) -> Result<(), DeviceFault> {
        let mut model = self.model();
        model.call("unmap")?;
        let (found, block) = model.mapped.remove(&start.0).expect("unmapped where it was mapped");
        assert_eq!(found, bytes, "unmapped as it was mapped");
        model.assert_untouched(&(start.0..start.0 + bytes), "unmapped");
        model.blocks.get_mut(&block).expect("a block").mapped_at = None;
        Ok(())
    }

    fn pin(&mut self, bytes: usize) -> Result<NonNull<u8>, DeviceFault> {
        let mut model = self.model();
        model.call("pin")?;
        let layout = Layout::from_size_align(bytes, 256).expect("a layout");
        assert!(bytes > 0);
        // SAFETY: the layout has a size.
        let start = NonNull::new(unsafe { alloc(layout) }).expect("host memory");
        // SAFETY: it was just allocated with this size.
        unsafe { start.write_bytes(0xEE, bytes) };
        model.pinned.insert(start.addr().get(), (HostPointer(start), layout));
        model.most_pinned_bytes = model.most_pinned_bytes.max(model.pinned_bytes());
        Ok(start)
    }

    unsafe fn unpin(&mut self, start: NonNull<u8>) -> Result<(), DeviceFault> {
        let mut model = self.model();
        let answer = model.call("unpin");
        let (pointer, layout) = model.pinned.remove(&start.addr().get()).expect("unpinned once");
        let range = pointer.range(layout.size());
        for work in model.queues.values().flat_map(|queue| &queue.work) {
            if let Work::Copy { host, bytes, .. } = work {
                assert!(!overlap(&host.range(*bytes), &range), "unpinned under a copy");
            }
        }
        // SAFETY: `pin` allocated it with this layout.
        unsafe { dealloc(pointer.0.as_ptr(), layout) };
        answer
    }

    unsafe fn copy_in(
        &mut self,
        to: DeviceAddress,
        from: NonNull<u8>,
        bytes: usize,
    ) -> Result<(), DeviceFault> {
        let mut model = self.model();
        model.call("copy_in")?;
        model.queue_copy(Lane::In, from, to.0, bytes);
        Ok(())
    }

    unsafe fn copy_out(
        &mut self,
        to: NonNull<u8>,
        from: DeviceAddress,
        bytes: usize,
    ) -> Result<(), DeviceFault> {
        let mut model = self.model();
        model.call("copy_out")?;
        model.queue_copy(Lane::Out, to, from.0, bytes);
        Ok(())
    }

    fn mark(&mut self, lane: Lane) -> Result<Mark, DeviceFault> {
        let mut model = self.model();
        model.call("mark")?;
        Ok(model.mark(lane_queue(lane)))
    }

    unsafe fn mark_queue(&mut self, queue: u64) -> Result<Mark, DeviceFault> {
        assert!(queue < CALLER_QUEUES, "no such queue");
        let mut model = self.model();
        model.call("mark_queue")?;
        Ok(model.mark(queue))
    }

    fn is_ready(&mut self, mark: &mut Mark) -> Result<bool, DeviceFault> {
        let mut model = self.model();
        if model.is_lost {
            return Err(DeviceFault::Lost { call: "is_ready", code: 700 });
        }
        let is_refused = model.refuses_marks();
        if is_refused || matches!(model.fail_at, Some((_, Failure::Lost))) {
            model.call("is_ready")?;
        }
        model.pass();
        Ok(model.queues.get(&mark.queue).is_none_or(|queue| queue.ended >= mark.after))
    }
}
