//! A device that is only an account: what is reserved, created and mapped, each call checked against the
//! contract of `Device`, with faults on demand. There is no memory behind it at all.

use ace_alloc_cuda::device::{Device, DeviceAddress, DeviceFault, DeviceMemory, Lane};
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard};

/// Which calls fail; calls are counted from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Never,
    Call(u64),
    From(u64),
}

/// What the model has handed out.
#[derive(Debug)]
pub struct Account {
    pub granularity: u64,
    pub total_bytes: u64,
    pub fault: Fault,
    pub answer: DeviceFault,
    pub calls: u64,
    pub faults: u64,
    /// Physical bytes that exist, and most that ever were mapped.
    pub created: u64,
    pub peak: u64,
    /// Start and length.
    pub reserved: BTreeMap<u64, u64>,
    pub mapped: BTreeMap<u64, u64>,
    /// For each queue: marks made, and how many of them the device has got to.
    pub marks: [u64; 2],
    pub reached: [u64; 2],
    lost: bool,
    next: u64,
}

/// A handle; clones share the account.
#[derive(Clone, Debug)]
pub struct Model(Arc<Mutex<Account>>);

#[derive(Debug)]
pub struct Physical(u64);

pub const REFUSED: DeviceFault = DeviceFault::Refused { call: "model", code: 1 };
pub const LOST: DeviceFault = DeviceFault::Lost { call: "model", code: 719 };

impl Model {
    pub fn new(granularity: u64, total_bytes: u64) -> Self {
        Self(Arc::new(Mutex::new(Account {
            granularity,
            total_bytes,
            fault: Fault::Never,
            answer: DeviceFault::OutOfMemory,
            calls: 0,
            faults: 0,
            created: 0,
            peak: 0,
            reserved: BTreeMap::new(),
            mapped: BTreeMap::new(),
            marks: [0; 2],
            reached: [0; 2],
            lost: false,
            // Not aligned to more than the granularity, as real ones are not.
            next: 0x7_0000_0000 + granularity,
        })))
    }

    pub fn account(&self) -> MutexGuard<'_, Account> {
        self.0.lock().expect("no test panics with the account in its hands")
    }

    /// Fails calls from now on; counting starts anew.
    pub fn set_fault(&self, fault: Fault, answer: DeviceFault) {
        let mut account = self.account();
        (account.fault, account.answer, account.calls, account.faults) = (fault, answer, 0, 0);
    }

    /// Whether all bytes of a range have memory behind them.
    pub fn is_mapped(&self, start: DeviceAddress, bytes: u64) -> bool {
        let account = self.account();
        let (mut at, end) = (start.0, start.0 + bytes);
        while at < end {
            match account.mapped.range(..=at).next_back() {
                Some((low, length)) if low + length > at => at = low + length,
                _ => return false,
            }
        }
        true
    }

    fn admit(&self) -> Result<MutexGuard<'_, Account>, DeviceFault> {
        let mut account = self.account();
        let call = account.calls;
        account.calls += 1;
        let hit = match account.fault {
            Fault::Never => false,
            Fault::Call(bad) => call == bad,
            Fault::From(first) => call >= first,
        };
        account.faults += u64::from(hit);
        account.lost |= hit && matches!(account.answer, DeviceFault::Lost { .. });
        match (account.lost, hit) {
            (true, _) => Err(LOST),
            (_, true) => Err(account.answer),
            _ => Ok(account),
        }
    }
}

impl Account {
    fn check(&self, bytes: u64) {
        assert!(bytes > 0 && bytes.is_multiple_of(self.granularity), "{bytes} is no whole granule");
    }
}

// SAFETY: addresses are handed out once and never again; no host memory is, and no copy is queued.
unsafe impl Device for Model {
    type Block = Physical;
    /// A queue and a number in it.
    type Mark = (usize, u64);

    fn attach(&mut self) -> Result<(), DeviceFault> {
        self.admit().map(drop)
    }

    fn granularity(&self) -> u64 {
        self.account().granularity
    }

    fn memory(&mut self) -> Result<DeviceMemory, DeviceFault> {
        let account = self.admit()?;
        let total_bytes = account.total_bytes;
        Ok(DeviceMemory { free_bytes: total_bytes - account.created, total_bytes })
    }

    fn reserve(&mut self, bytes: u64) -> Result<DeviceAddress, DeviceFault> {
        let mut account = self.admit()?;
        account.check(bytes);
        let start = account.next;
        account.next += bytes + account.granularity;
        account.reserved.insert(start, bytes);
        Ok(DeviceAddress(start))
    }

    unsafe fn release(&mut self, start: DeviceAddress, bytes: u64) -> Result<(), DeviceFault> {
        let mut account = self.admit()?;
        assert_eq!(account.reserved.remove(&start.0), Some(bytes), "what was reserved");
        let inside = account.mapped.range(start.0..start.0 + bytes).next();
        assert_eq!(inside, None, "released with memory mapped");
        Ok(())
    }

    fn create(&mut self, bytes: u64) -> Result<Physical, DeviceFault> {
        let mut account = self.admit()?;
        account.check(bytes);
        if bytes > account.total_bytes - account.created {
            return Err(DeviceFault::OutOfMemory);
        }
        account.created += bytes;
        Ok(Physical(bytes))
    }

    fn destroy(&mut self, block: Physical) -> Result<(), DeviceFault> {
        // Gone whatever the answer.
        self.account().created -= block.0;
        self.admit().map(drop)
    }

    unsafe fn map(&mut self, start: DeviceAddress, block: &Physical) -> Result<(), DeviceFault> {
        let mut account = self.admit()?;
        let (low, high) = (start.0, start.0 + block.0);
        assert!(low.is_multiple_of(account.granularity), "mapped at a granule");
        let room = account.reserved.range(..=low).next_back();
        assert!(room.is_some_and(|(at, bytes)| high <= at + bytes), "mapped outside");
        let below = account.mapped.range(..high).next_back();
        assert!(below.is_none_or(|(at, bytes)| at + bytes <= low), "mapped twice");
        account.mapped.insert(low, block.0);
        account.peak = account.peak.max(account.mapped.values().sum());
        Ok(())
    }

    unsafe fn unmap(&mut self, start: DeviceAddress, bytes: u64) -> Result<(), DeviceFault> {
        let mut account = self.admit()?;
        assert_eq!(account.mapped.remove(&start.0), Some(bytes), "what was mapped");
        Ok(())
    }

    fn pin(&mut self, _: usize) -> Result<NonNull<u8>, DeviceFault> {
        Err(REFUSED)
    }

    unsafe fn unpin(&mut self, _: NonNull<u8>) -> Result<(), DeviceFault> {
        Err(REFUSED)
    }

    unsafe fn copy_in(
        &mut self,
        _: DeviceAddress,
        _: NonNull<u8>,
        _: usize,
    ) -> Result<(), DeviceFault> {
        Err(REFUSED)
    }

    unsafe fn copy_out(
        &mut self,
        _: NonNull<u8>,
        _: DeviceAddress,
        _: usize,
    ) -> Result<(), DeviceFault> {
        Err(REFUSED)
    }

    fn mark(&mut self, _: Lane) -> Result<Self::Mark, DeviceFault> {
        Err(REFUSED)
    }

    unsafe fn mark_queue(&mut self, queue: u64) -> Result<Self::Mark, DeviceFault> {
        let mut account = self.admit()?;
        let queue = usize::try_from(queue).expect("one of two");
        account.marks[queue] += 1;
        Ok((queue, account.marks[queue]))
    }

    fn is_ready(&mut self, mark: &mut Self::Mark) -> Result<bool, DeviceFault> {
        self.admit().map(|account| mark.1 <= account.reached[mark.0])
    }
}
