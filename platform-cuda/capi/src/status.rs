//! Status codes, and the sentence of the last failure on a thread. Floor: cellar.

use ace_alloc_cuda::{
    device::DeviceFault, driver::OpenError, engine::EngineError, heap::HeapError,
};
use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::fmt::Display;

/// What became of a call. Anything but OK: nothing was changed, unless the call says otherwise, and
/// ace_cuda_last_error() has a sentence about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum AceCudaStatus {
    /// Done.
    Ok = 0,
    /// A null or misaligned pointer, a number out of range, a distance that is negative or NaN, a name that
    /// nobody knows.
    BadArgument = 1,
    /// There is no engine, state, lease or heap of this number, or no block at this address: it was never
    /// made, was given back before, or belongs to another engine.
    UnknownHandle = 2,
    /// No state belongs to the agent, or not this one.
    UnknownAgent = 3,
    /// There is no driver, or none that will do.
    NoDriver = 4,
    /// There is no such device, or it can't map memory under reserved addresses.
    NoDevice = 5,
    /// It can never fit into the device's memory or into the budget.
    TooLarge = 6,
    /// Device memory is claimed by leases, pins and retained states; it would fit when some of them end.
    NoRoom = 7,
    /// The device has no memory left, also after others were evicted.
    OutOfMemory = 8,
    /// The host has no memory for it.
    OutOfHostMemory = 9,
    /// The device failed. Surviving copies of states are as they were.
    DeviceFailed = 10,
    /// The device is lost with all that was there. Host copies can be read; close the engine and open
    /// another, possibly in another process.
    DeviceLost = 11,
    /// The newest contents of the state were lost with the device.
    Poisoned = 12,
    /// It is in use: leases, tensors, blocks or other calls still need it.
    InUse = 13,
    /// The state is not part of the lease.
    NotInUse = 14,
    /// The state is not pinned.
    NotPinned = 15,
    /// Steps only grow, and predictions are of this step or later.
    Past = 16,
    /// The host does not hold the newest contents, or they are on the move.
    OnDevice = 17,
    /// The state was unregistered, or taken from the agent, while somebody waited for it.
    Unregistered = 18,
    /// The time was over before the use could begin.
    TimedOut = 19,
    /// The engine's thread could not be started, or has died.
    EngineFailed = 20,
}

/// A status and its sentence.
#[derive(Debug)]
pub struct Failure {
    pub status: AceCudaStatus,
    message: String,
}

impl Failure {
    pub fn new(status: AceCudaStatus, message: impl Display) -> Self {
        Self { status, message: message.to_string() }
    }

    /// Something is wrong with an argument.
    pub fn argument(message: impl Display) -> Self {
        Self::new(AceCudaStatus::BadArgument, message)
    }
}

impl From<DeviceFault> for Failure {
    fn from(fault: DeviceFault) -> Self {
        let status = match fault {
            DeviceFault::OutOfMemory => AceCudaStatus::OutOfMemory,
            DeviceFault::Lost { .. } => AceCudaStatus::DeviceLost,
            DeviceFault::Refused { .. } => AceCudaStatus::DeviceFailed,
        };
        Self::new(status, fault)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let status = match error {
            OpenError::NoDriver { .. }
            | OpenError::MissingSymbol { .. }
            | OpenError::DriverTooOld { .. } => AceCudaStatus::NoDriver,
            OpenError::NoDevice
            | OpenError::NoSuchDevice { .. }
            | OpenError::NoVirtualMemory { .. } => AceCudaStatus::NoDevice,
            OpenError::NoMemory { .. } => AceCudaStatus::OutOfMemory,
            OpenError::Failed { .. } => AceCudaStatus::DeviceFailed,
        };
        Self::new(status, error)
    }
}

impl From<HeapError> for Failure {
    fn from(error: HeapError) -> Self {
        let status = match error {
            HeapError::ZeroBytes | HeapError::Alignment { .. } => AceCudaStatus::BadArgument,
            HeapError::OutOfMemory { .. } => AceCudaStatus::OutOfMemory,
            HeapError::Misuse { .. } => AceCudaStatus::UnknownHandle,
            HeapError::Device(fault) => return fault.into(),
        };
        Self::new(status, error)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        use AceCudaStatus as Status;
        let status = match error {
            EngineError::BadSettings(_)
            | EngineError::Twice(_)
            | EngineError::BadSize
            | EngineError::BadRange => Status::BadArgument,
            EngineError::UnknownState => Status::UnknownHandle,
            EngineError::NotOwner { .. } | EngineError::UnknownAgent => Status::UnknownAgent,
            EngineError::TooLarge { .. } => Status::TooLarge,
            EngineError::NoRoom => Status::NoRoom,
            EngineError::OutOfMemory => Status::OutOfMemory,
            EngineError::OutOfHostMemory => Status::OutOfHostMemory,
            EngineError::Device(_) | EngineError::CopyFailed => Status::DeviceFailed,
            EngineError::DeviceLost => Status::DeviceLost,
            EngineError::Poisoned => Status::Poisoned,
            EngineError::InUse => Status::InUse,
            EngineError::NotInUse => Status::NotInUse,
            EngineError::NotPinned => Status::NotPinned,
            EngineError::PastStep | EngineError::PastHint => Status::Past,
            EngineError::OnDevice => Status::OnDevice,
            EngineError::Unregistered => Status::Unregistered,
            EngineError::TimedOut | EngineError::WouldBlock => Status::TimedOut,
            // The others come from calls that are not made here.
            _ => Status::EngineFailed,
        };
        Self::new(status, error)
    }
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// Makes a status of a result, and keeps the sentence.
pub fn answer(call: impl FnOnce() -> Result<(), Failure>) -> AceCudaStatus {
    let Err(failure) = call() else { return AceCudaStatus::Ok };
    // What a path or a driver says may have a zero in it.
    let text = CString::new(failure.message.replace('\0', "?")).unwrap_or_default();
    // At a thread's end there may be no place for it any more; the status is told all the same.
    let _ = LAST_ERROR.try_with(|last| last.replace(text));
    failure.status
}

/// A sentence about the last call of this thread that was not OK; empty before the first. It stays as it is
/// until the next such call of this thread.
#[unsafe(no_mangle)]
pub extern "C" fn ace_cuda_last_error() -> *const c_char {
    LAST_ERROR.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

/// The version of this library: 10000 * major + 100 * minor + patch.
#[unsafe(no_mangle)]
pub extern "C" fn ace_cuda_version() -> u32 {
    const MAJOR: u32 = number(env!("CARGO_PKG_VERSION_MAJOR"));
    const MINOR: u32 = number(env!("CARGO_PKG_VERSION_MINOR"));
    const PATCH: u32 = number(env!("CARGO_PKG_VERSION_PATCH"));
    const { MAJOR * 10_000 + MINOR * 100 + PATCH }
}

const fn number(digits: &str) -> u32 {
    match u32::from_str_radix(digits, 10) {
        Ok(number) => number,
        Err(_) => 0,
    }
}
