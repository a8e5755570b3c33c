//! States: register, share, what the host holds. Floor: third.

use crate::foreign::{self, Versioned};
use crate::open::{AceCudaEngine, AceCudaState, Named, with_engine, with_state};
use crate::status::{AceCudaStatus, Failure};
use crate::table::new_number;
use ace_alloc_cuda::engine::{Borrowed, HostCopy};
use ace_alloc_cuda::planner::Place;
use ace_alloc_cuda::state::{AgentId, AgentState, Contents, Kind};
use std::ffi::c_void;
use std::ptr::NonNull;
use std::slice;

/// Anything else.
pub const ACE_CUDA_KIND_OPAQUE: u32 = 0;
/// A model's own weights.
pub const ACE_CUDA_KIND_WEIGHTS: u32 = 1;
/// A low-rank adapter.
pub const ACE_CUDA_KIND_LORA: u32 = 2;
/// Keys and values of attention.
pub const ACE_CUDA_KIND_KV: u32 = 3;
/// A kind of yours: this and all greater numbers.
pub const ACE_CUDA_KIND_CUSTOM: u32 = 1024;

/// There are no contents yet: the first user computes them. `host` is NULL.
pub const ACE_CUDA_CONTENTS_NONE: u32 = 0;
/// Zeros, in memory of the engine's. `host` is NULL.
pub const ACE_CUDA_CONTENTS_ZERO: u32 = 1;
/// The `bytes` at `host`, copied into memory of the engine's before the call returns.
pub const ACE_CUDA_CONTENTS_COPIED: u32 = 2;
/// The `bytes` at `host`, which the engine reads and writes where they are until the state is
/// unregistered or the engine closed. Not pinned: copies go through buffers that are.
pub const ACE_CUDA_CONTENTS_BORROWED: u32 = 3;

/// What an agent keeps on a device: one range of bytes. Set `size`; what is left zero has the default.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct AceCudaStateInfo {
    /// sizeof(struct AceCudaStateInfo).
    pub size: usize,
    /// A number of yours, for reports.
    pub id: u64,
    /// The agents that use it, by numbers of yours.
    pub owners: *const u64,
    /// How many.
    pub owner_count: usize,
    /// Its size, above 0.
    pub bytes: u64,
    /// The host's memory that `contents` speaks of.
    pub host: *mut c_void,
    /// What it costs to copy it to the device, in nanoseconds. 0: by the measured speed.
    pub reload_ns: u64,
    /// What it costs to compute it anew, in nanoseconds. 0: it can't be done. If that is less than what
    /// copying costs, contents may be given up instead of written back; ace_cuda_is_fresh tells the next user.
    pub recompute_ns: u64,
    /// One of ACE_CUDA_KIND_.
    pub kind: u32,
    /// One of ACE_CUDA_CONTENTS_.
    pub contents: u32,
}

// SAFETY: `repr(C)`, `size` comes first, and every field takes any bytes.
unsafe impl Versioned for AceCudaStateInfo {}

/// Where a state is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum AceCudaPlace {
    /// It has no contents anywhere.
    Absent = 0,
    /// Its contents are on the way to the device.
    Loading = 1,
    /// On the device.
    Resident = 2,
    /// On the device, in use.
    InUse = 3,
    /// It is leaving the device.
    Evicting = 4,
    /// On the host.
    HostOnly = 5,
    /// The newest contents were lost with the device. What the host has can be read.
    Poisoned = 6,
}

/// A description by C as the engine takes it.
struct Described<'a> {
    info: AceCudaStateInfo,
    owners: &'a [u64],
    kind: Kind,
}

impl AgentState for Described<'_> {
    fn id(&self) -> u64 {
        self.info.id
    }
    fn owners(&self) -> Vec<AgentId> {
        self.owners.iter().copied().map(AgentId).collect()
    }
    fn bytes(&self) -> u64 {
        self.info.bytes
    }
    fn kind(&self) -> Kind {
        self.kind
    }
    fn contents(&self) -> Contents {
        match self.info.contents {
            ACE_CUDA_CONTENTS_NONE => Contents::None,
            _ => Contents::Host { version: 1 },
        }
    }
    fn reload_cost_ns(&self) -> u64 {
        self.info.reload_ns
    }
    fn recompute_cost_ns(&self) -> Option<u64> {
        Some(self.info.recompute_ns).filter(|ns| *ns > 0)
    }
}

fn kind(number: u32) -> Result<Kind, Failure> {
    Ok(match number {
        ACE_CUDA_KIND_OPAQUE => Kind::Opaque,
        ACE_CUDA_KIND_WEIGHTS => Kind::Weights,
        ACE_CUDA_KIND_LORA => Kind::Lora,
        ACE_CUDA_KIND_KV => Kind::Kv,
        number if number >= ACE_CUDA_KIND_CUSTOM => Kind::Custom(number),
        number => return Err(Failure::argument(format_args!("there is no kind {number}"))),
    })
}

/// # Safety
/// As [`ace_cuda_register`].
unsafe fn host_copy<'a>(info: &AceCudaStateInfo) -> Result<HostCopy<'a>, Failure> {
    let needs_host = matches!(info.contents, ACE_CUDA_CONTENTS_COPIED | ACE_CUDA_CONTENTS_BORROWED);
    if needs_host == info.host.is_null() {
        let message = format_args!(
            "host is {:p}, which does not go with contents {}",
            info.host, info.contents
        );
        return Err(Failure::argument(message));
    }
    let bytes = usize::try_from(info.bytes).ok().filter(|bytes| isize::try_from(*bytes).is_ok());
    let bytes = bytes.ok_or_else(|| Failure::argument("more bytes than memory can have"))?;
    let start = NonNull::new(info.host.cast::<u8>());
    Ok(match (info.contents, start) {
        (ACE_CUDA_CONTENTS_NONE | ACE_CUDA_CONTENTS_ZERO, _) => HostCopy::Kept,
        (ACE_CUDA_CONTENTS_COPIED, Some(start)) => {
            // SAFETY: by the caller's promise it holds so many bytes for this call.
            HostCopy::KeptFrom(unsafe { slice::from_raw_parts(start.as_ptr(), bytes) })
        }
        (ACE_CUDA_CONTENTS_BORROWED, Some(start)) => {
            // SAFETY: the caller's promise.
            HostCopy::Borrowed(unsafe { Borrowed::new(start, bytes) })
        }
        (other, _) => {
            return Err(Failure::argument(format_args!("there are no contents {other}")));
        }
    })
}

/// Takes a state into an engine's care. Gives its number to `state`.
///
/// # Safety
/// `info` holds `size` bytes, `owners` holds `owner_count` numbers, and `host` the bytes that `contents`
/// speaks of. If they are borrowed, they stay until ace_cuda_unregister or ace_cuda_close has returned OK;
/// meanwhile they are not written to, and read only while the state is HOST_ONLY. `state` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_register(
    engine: AceCudaEngine,
    info: *const AceCudaStateInfo,
    state: *mut AceCudaState,
) -> AceCudaStatus {
    with_engine(engine, |session| {
        // SAFETY: the caller's promise.
        let state = unsafe { foreign::place(state, "state") }?;
        // SAFETY: as above.
        let info = unsafe { foreign::versioned(info, "info") }?;
        // SAFETY: as above.
        let owners = unsafe { foreign::list(info.owners, info.owner_count, "owners") }?;
        let described = Described { info, owners, kind: kind(info.kind)? };
        // SAFETY: as above.
        let copy = unsafe { host_copy(&info) }?;
        let handle = session.engine.register(&described, copy)?;
        let number = new_number();
        session.states().insert(number, Named { handle, bytes: info.bytes });
        state.write(number);
        Ok(())
    })
}

/// Forgets a state, and waits until nothing of the engine's touches its memory any more. IN_USE while a
/// lease or a tensor of it is held.
#[unsafe(no_mangle)]
pub extern "C" fn ace_cuda_unregister(engine: AceCudaEngine, state: AceCudaState) -> AceCudaStatus {
    with_engine(engine, |session| {
        session.engine.unregister(session.state(state)?.handle)?;
        session.states().remove(&state);
        Ok(())
    })
}

/// One more agent uses a state.
#[unsafe(no_mangle)]
pub extern "C" fn ace_cuda_share(
    engine: AceCudaEngine,
    state: AceCudaState,
    agent: u64,
) -> AceCudaStatus {
    with_state(engine, state, |engine, state| engine.share(state, AgentId(agent)))
}

/// An agent uses a state no more. Calls of it that wait for the state are refused.
#[unsafe(no_mangle)]
pub extern "C" fn ace_cuda_unshare(
    engine: AceCudaEngine,
    state: AceCudaState,
    agent: u64,
) -> AceCudaStatus {
    with_state(engine, state, |engine, state| engine.unshare(state, AgentId(agent)))
}

/// Where a state is now.
///
/// # Safety
/// `place` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_place(
    engine: AceCudaEngine,
    state: AceCudaState,
    place: *mut AceCudaPlace,
) -> AceCudaStatus {
    with_state(engine, state, |engine, state| {
        // SAFETY: the caller's promise.
        let place = unsafe { foreign::place(place, "place") }?;
        place.write(match engine.place(state)? {
            Place::Absent => AceCudaPlace::Absent,
            Place::Loading => AceCudaPlace::Loading,
            Place::Resident => AceCudaPlace::Resident,
            Place::InUse(_) => AceCudaPlace::InUse,
            Place::Evicting => AceCudaPlace::Evicting,
            Place::HostOnly => AceCudaPlace::HostOnly,
            Place::Poisoned => AceCudaPlace::Poisoned,
        });
        Ok::<_, Failure>(())
    })
}

/// Writes to the host copy of a state. ON_DEVICE unless it is HOST_ONLY.
///
/// # Safety
/// `from` holds so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_write_host(
    engine: AceCudaEngine,
    state: AceCudaState,
    offset_bytes: u64,
    from: *const c_void,
    bytes: usize,
) -> AceCudaStatus {
    with_state(engine, state, |engine, state| {
        // SAFETY: the caller's promise.
        let from = unsafe { foreign::list(from.cast::<u8>(), bytes, "from") }?;
        Ok::<_, Failure>(engine.write_host(state, offset_bytes, from)?)
    })
}

/// Reads the host copy of a state. ON_DEVICE if the host does not hold the newest contents: acquire the state
/// and call ace_cuda_copy_out instead.
///
/// # Safety
/// So many bytes at `into` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_read_host(
    engine: AceCudaEngine,
    state: AceCudaState,
    offset_bytes: u64,
    into: *mut c_void,
    bytes: usize,
) -> AceCudaStatus {
    with_state(engine, state, |engine, state| {
        // SAFETY: the caller's promise.
        let into = unsafe { foreign::bytes_mut(into.cast::<u8>(), bytes, "into") }?;
        Ok::<_, Failure>(engine.read_host(state, offset_bytes, into)?)
    })
}
