//! What goes into a planner and what comes out of it. Floor: second.

use crate::{
    distance::{NextUse, Source},
    state::AgentId,
};
use core::fmt;

/// A registered state. Numbers are used again with another generation, so a stale handle is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// Where a state is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It has no contents anywhere.
    Absent,
    /// It has device memory, and its contents are on the way.
    Loading,
    /// On the device.
    Resident,
    /// On the device, in so many hands.
    InUse(u32),
    /// It is being written back, or its device memory is being given up.
    Evicting,
    /// On the host.
    HostOnly,
    /// The device was lost with it. If the host copy is of the newest version, it comes back with the
    /// device; otherwise [`Event::AcceptLoss`] brings it back as the host has it.
    Poisoned,
}

/// A job of the planner's, from its first action to its one [`Report::Ended`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub(super) u64);

/// A part of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub offset_bytes: u64,
    /// How long it is; not 0.
    pub bytes: u64,
}

/// What a device is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Put memory behind the state's addresses.
    Map {
        /// The state's size.
        bytes: u64,
    },
    /// Copy from host to device.
    CopyIn(Span),
    /// Copy from device to host.
    CopyOut(Span),
    /// Give the memory behind the state's addresses back.
    Unmap {
        /// The state's size.
        bytes: u64,
    },
}

/// One thing for the device to apply. Answer each with [`Event::Applied`] when it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// The job it belongs to.
    pub command: CommandId,
    /// The state it concerns. The handle may be stale if the state was unregistered meanwhile.
    pub state: Handle,
    /// What to do.
    pub what: What,
}

/// Why an action failed. The loss of the device is [`Event::DeviceLost`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There was no memory to map; so much is free.
    OutOfMemory {
        /// What the device says is free now.
        free_bytes: u64,
    },
    /// Anything else.
    Other,
}

/// What a planner observes. Handles must be of registered states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// This step begins. Steps only grow.
    Step(u64),
    /// A source predicts when an agent is used next, in this step or later; of all its states.
    Expect {
        /// Whose use.
        agent: AgentId,
        /// Who says so.
        source: Source,
        /// When.
        next_use: NextUse,
    },
    /// An agent wants to use a state. Answered by one [`Report::Granted`] or [`Report::Refused`].
    Begin {
        /// What.
        state: Handle,
        /// Who.
        agent: AgentId,
    },
    /// Takes a `Begin` back that was not answered yet.
    Withdraw {
        /// What.
        state: Handle,
        /// Who.
        agent: AgentId,
    },
    /// A user has written to a part of the state.
    Wrote {
        /// What.
        state: Handle,
        /// Which part.
        span: Span,
    },
    /// A granted use is over, and with it all work on the device that touched the state.
    End {
        /// What.
        state: Handle,
    },
    /// Fetch it when nobody waits for anything else.
    Prefetch(Handle),
    /// Stop fetching what nobody waits for.
    Cancel(Handle),
    /// Do not evict it until `Unpin`; pins are counted.
    Pin(Handle),
    /// Takes one pin back.
    Unpin(Handle),
    /// Do not evict it before this step.
    Retain {
        /// What.
        state: Handle,
        /// The first step in which it may go.
        until_step: u64,
    },
    /// Evict it before all others, unless it is used before.
    Demote(Handle),
    /// One more agent uses the state.
    Share {
        /// What.
        state: Handle,
        /// Who.
        agent: AgentId,
    },
    /// An agent uses the state no more.
    Unshare {
        /// What.
        state: Handle,
        /// Who.
        agent: AgentId,
    },
    /// The answer to an action.
    Applied {
        /// The action, as it was given.
        action: Action,
        /// Whether it was done.
        result: Result<(), Fault>,
    },
    /// So much device memory may be used. Replaces what the planner learned from lack of memory.
    Budget {
        /// Bytes of all states on the device and on the way.
        bytes: u64,
    },
    /// So long the link to the device carried nothing that somebody waited for, since the last such event. It
    /// bounds what is fetched ahead until the next one. A host whose users ask ahead may say less, down to the
    /// time in which nothing was computed because all waited: where nothing stands still, fetching ahead costs
    /// copies and wins no time.
    LinkSpare {
        /// The time.
        spare_ns: u64,
        /// What the link carries.
        bytes_per_second: u64,
    },
    /// The device and all that was on it are gone, and the actions on it will not be answered.
    DeviceLost,
    /// A device is there again, empty.
    DeviceRestored {
        /// Bytes of all states on the device and on the way.
        budget_bytes: u64,
    },
    /// A poisoned state goes on with what the host has, which may be nothing.
    AcceptLoss(Handle),
}

/// Why an event was not taken. The planner is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The state was unregistered.
    Stale,
    /// The state has no bytes or ranges beyond its end.
    BadSize,
    /// The state is in use.
    InUse,
    /// The state is not in use.
    NotInUse,
    /// The state is not pinned.
    NotPinned,
    /// The agent does not own the state.
    NotOwner,
    /// No state belongs to the agent, so there is nothing to predict.
    UnknownAgent,
    /// The use is predicted for a step that has passed.
    PastHint,
    /// The agent waits for no such state.
    NotWaiting,
    /// The contents are lost.
    Poisoned,
    /// The contents are not lost.
    NotPoisoned,
    /// The device is lost.
    DeviceLost,
    /// The device is not lost.
    NotLost,
    /// No such action is to be answered: it was answered before, or the device was lost since.
    UnknownAction,
    /// Steps only grow.
    PastStep,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Stale => "the state was unregistered",
            Self::BadSize => "the state has no bytes, or the range does not lie within it",
            Self::InUse => "the state is in use",
            Self::NotInUse => "the state is not in use",
            Self::NotPinned => "the state is not pinned",
            Self::NotOwner => "the agent does not own the state",
            Self::UnknownAgent => "no state belongs to the agent",
            Self::PastHint => "the use is predicted for a step that has passed",
            Self::NotWaiting => "the agent does not wait for the state",
            Self::Poisoned => "the contents of the state were lost with the device",
            Self::NotPoisoned => "the contents of the state are not lost",
            Self::DeviceLost => "the device is lost",
            Self::NotLost => "the device is not lost",
            Self::UnknownAction => "the action was answered before, or the device was lost since",
            Self::PastStep => "steps only grow",
        })
    }
}

impl core::error::Error for Error {}

/// Why a use can't begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is larger than the budget.
    TooLarge,
    /// The device had no memory, and had none again after others were evicted.
    OutOfMemory,
    /// Its contents could not be copied. The host copy is as it was.
    CopyFailed,
    /// `Withdraw`.
    Withdrawn,
    /// The state was unregistered or no longer shared with the agent.
    Unregistered,
    /// The device was lost.
    DeviceLost,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::TooLarge => "the state is larger than the budget of device memory",
            Self::OutOfMemory => "the device is out of memory, even after others were evicted",
            Self::CopyFailed => "copying the state to the device failed; the host copy is whole",
            Self::Withdrawn => "the request was withdrawn",
            Self::Unregistered => {
                "the state was unregistered or is not shared with the agent any more"
            }
            Self::DeviceLost => "the device is lost",
        })
    }
}

impl core::error::Error for Refusal {}

/// What a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Somebody waits for it.
    Demand,
    /// Nobody waits for it yet.
    Prefetch,
    /// Away from the device.
    Evict,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As planned.
    Done,
    /// It was not needed any more; the state is where it was before.
    Cancelled,
    /// The state is where it was before.
    Failed(Fault),
    /// The device was lost.
    DeviceLost,
}

/// What a planner tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// A use begins.
    Granted {
        /// What.
        state: Handle,
        /// Who.
        agent: AgentId,
        /// The device memory has no contents: compute them.
        fresh: bool,
    },
    /// A use does not begin.
    Refused {
        /// What.
        state: Handle,
        /// Who.
        agent: AgentId,
        /// Why.
        reason: Refusal,
    },
    /// A command ended; each does once.
    Ended {
        /// Which.
        command: CommandId,
        /// Of what.
        state: Handle,
        /// What for.
        task: Task,
        /// How.
        end: End,
    },
    /// The first in the queue waits for memory that nothing now under way will free: all else is in use,
    /// pinned or retained.
    Blocked {
        /// What waits.
        state: Handle,
        /// How much is missing.
        short_bytes: u64,
    },
    /// The newest version of a state was on the lost device only.
    Lost {
        /// What.
        state: Handle,
        /// The caller's number for it.
        id: u64,
        /// The version that is lost.
        version: u64,
        /// The version that the host has.
        host_version: Option<u64>,
    },
    /// An unregistered state has left the device; its addresses and its host copy may be given up.
    Released {
        /// The stale handle.
        state: Handle,
        /// The caller's number for it.
        id: u64,
    },
}
