//! `EngineError`: why the engine did not do what it was asked, each in a sentence. Floor: cellar.

use crate::{
    device::DeviceFault,
    planner::{Error, Handle, Refusal},
    state::AgentId,
};
use core::fmt;

/// Why the engine did not do what it was asked. Nothing was changed, unless the variant says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineError {
    /// A setting makes no sense; it is named.
    BadSettings(&'static str),
    /// The state was never registered here, or was unregistered.
    UnknownState,
    /// The agent does not own this state.
    NotOwner {
        /// Who asked.
        agent: AgentId,
        /// For what.
        state: Handle,
    },
    /// No state belongs to the agent.
    UnknownAgent,
    /// A group names this state twice.
    Twice(Handle),
    /// A state has no bytes, says it is dirty beyond its end, or its host copy is of another size.
    BadSize,
    /// A range is empty or goes beyond the end of the state.
    BadRange,
    /// It can never fit.
    TooLarge {
        /// What was asked for, in bytes of device memory.
        bytes: u64,
        /// What there is.
        limit_bytes: u64,
    },
    /// Device memory is claimed by uses, pins and retained states; it would fit when some of them end.
    NoRoom,
    /// The device has less memory than its budget says, also after others were evicted.
    OutOfMemory,
    /// The host has no memory for a copy.
    OutOfHostMemory,
    /// A copy or a mapping failed. The surviving copy of the state is as it was.
    Device(DeviceFault),
    /// Contents could not be moved. The surviving copies are as they were.
    CopyFailed,
    /// The device is lost; `restore` brings another.
    DeviceLost,
    /// The device is not lost.
    NotLost,
    /// The other device maps memory in another grain.
    OtherGrain,
    /// The newest contents were lost with the device; `accept_loss` goes on with what the host has.
    Poisoned,
    /// The contents are not lost.
    NotPoisoned,
    /// The state is in use, or leases are still held.
    InUse,
    /// The use is over, or the state is not part of it.
    NotInUse,
    /// The state is not pinned.
    NotPinned,
    /// Steps only grow.
    PastStep,
    /// The predicted use lies before the present step.
    PastHint,
    /// The host does not hold the newest contents, or they are on the move.
    OnDevice,
    /// The state was unregistered, or is no longer shared with the agent, while somebody waited for it.
    Unregistered,
    /// The time was over before the use could begin.
    TimedOut,
    /// The use can't begin at once.
    WouldBlock,
    /// The host thread could not be started.
    NoThread,
    /// The engine was stopped.
    Stopped,
    /// The host thread has panicked; nothing more can be moved.
    Died,
}

impl fmt::Display for EngineError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = match self {
            Self::BadSettings(which) => return write!(out, "the setting {which} makes no sense"),
            Self::NotOwner { agent, .. } => {
                return write!(out, "agent {} does not own the state", agent.0);
            }
            Self::TooLarge { bytes, limit_bytes } => {
                return write!(out, "{bytes} bytes can never fit into {limit_bytes}");
            }
            Self::Device(fault) => return write!(out, "the state could not be moved: {fault}"),
            Self::UnknownState => "the state is not registered",
            Self::UnknownAgent => "no state belongs to the agent",
            Self::Twice(_) => "the group names a state twice",
            Self::BadSize => "the state's size, its dirty ranges or its host copy do not agree",
            Self::BadRange => "the range is empty or goes beyond the end of the state",
            Self::NoRoom => "device memory is claimed by uses, pins and retained states",
            Self::OutOfMemory => "the device has less free memory than its budget says",
            Self::OutOfHostMemory => "the host has no memory for a copy",
            Self::CopyFailed => "the contents could not be moved; the surviving copy is as it was",
            Self::DeviceLost => "the device is lost; restore the engine with another",
            Self::NotLost => "the device is not lost",
            Self::OtherGrain => "the other device maps memory in another grain",
            Self::Poisoned => "the newest contents of the state were lost with the device",
            Self::NotPoisoned => "the contents of the state are not lost",
            Self::InUse => "the state is in use",
            Self::NotInUse => "the use is over, or the state is not part of it",
            Self::NotPinned => "the state is not pinned",
            Self::PastStep => "steps only grow",
            Self::PastHint => "the predicted use lies before the present step",
            Self::OnDevice => "the host does not hold the newest contents, or they are on the move",
            Self::Unregistered => "the state was taken away while somebody waited for it",
            Self::TimedOut => "the time was over before the use could begin",
            Self::WouldBlock => "the use can't begin at once",
            Self::NoThread => "the engine's thread could not be started",
            Self::Stopped => "the engine was stopped",
            Self::Died => "the engine's thread has panicked",
        };
        out.write_str(sentence)
    }
}

impl core::error::Error for EngineError {}

impl From<Error> for EngineError {
    fn from(error: Error) -> Self {
        match error {
            Error::Stale => Self::UnknownState,
            Error::BadSize => Self::BadSize,
            Error::InUse => Self::InUse,
            // The engine asks the planner to withdraw and answer only what it gave it before.
            Error::NotInUse | Error::NotWaiting | Error::UnknownAction | Error::NotOwner => {
                Self::NotInUse
            }
            Error::NotPinned => Self::NotPinned,
            Error::Poisoned => Self::Poisoned,
            Error::NotPoisoned => Self::NotPoisoned,
            Error::DeviceLost => Self::DeviceLost,
            Error::NotLost => Self::NotLost,
            Error::PastStep => Self::PastStep,
            Error::PastHint => Self::PastHint,
            Error::UnknownAgent => Self::UnknownAgent,
        }
    }
}

impl From<DeviceFault> for EngineError {
    fn from(fault: DeviceFault) -> Self {
        match fault {
            DeviceFault::OutOfMemory => Self::OutOfMemory,
            DeviceFault::Lost { .. } => Self::DeviceLost,
            DeviceFault::Refused { .. } => Self::Device(fault),
        }
    }
}

impl From<Refusal> for EngineError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooLarge | Refusal::OutOfMemory => Self::OutOfMemory,
            Refusal::CopyFailed => Self::CopyFailed,
            Refusal::Withdrawn | Refusal::Unregistered => Self::Unregistered,
            Refusal::DeviceLost => Self::DeviceLost,
        }
    }
}
