//! `Host`: everything of the engine but the thread and the clock. Floor: second.
//!
//! Calls change what is wanted and touch no device; [`Host::turn`] makes it so, a piece at a time.

use super::{
    EngineError, Loss, Settings,
    arena::Arena,
    copies::Lanes,
    memory::{Home, HostCopy, Keep},
    meter::{Meter, Window},
    pages::{Addresses, Pages},
    uses::{End, Turn, Uses},
};
use crate::{
    device::{Device, DeviceFault, Lane},
    planner::{self, Handle, Planner},
    policy::Policy,
    ranges::Ranges,
    state::{AgentId, AgentState, Contents, Kind},
};
use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};

/// Staging buffers are at most so large: the thread that fills them keeps others waiting meanwhile. Chosen.
const STAGING_BYTES: usize = 4 << 20;
/// Smaller buffers are not worth a copy: chosen.
const LEAST_STAGING_BYTES: usize = 256;

/// When [`Host::turn`] should be called again, unless something is asked of the host before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At once; others may have their turn in between.
    Again,
    /// Soon: something is under way.
    Soon,
    /// After so many nanoseconds.
    After(u64),
    /// There is nothing to do.
    Idle,
}

/// What the host knows of a state beside the planner.
pub(super) struct Entry<B> {
    pub bytes: u64,
    /// Whole grains.
    pub device_bytes: u64,
    pub range: Addresses<B>,
    pub home: Home,
    pub owners: BTreeSet<AgentId>,
    pub pins: u32,
    pub retained_until: Option<u64>,
    /// Admitted groups, and one each for being pinned and for being retained.
    pub claims: u32,
    /// Whose `Begin` the planner has not answered.
    pub waiting: VecDeque<Turn>,
    /// It has device memory that nobody has written to.
    pub is_fresh: bool,
    /// Why it could not be moved when that was tried last.
    pub fault: Option<DeviceFault>,
}

/// See the module's documentation. Uses that are granted and not over when it is dropped end with it.
pub struct Host<D: Device> {
    /// `None` only after it was lost and could not be replaced.
    pub(super) device: Option<D>,
    pub(super) planner: Planner,
    pub(super) settings: Settings,
    pub(super) total_bytes: u64,
    pub(super) pages: Pages<D::Block>,
    pub(super) arena: Arena,
    pub(super) inward: Lanes<D::Mark>,
    pub(super) outward: Lanes<D::Mark>,
    pub(super) window: Window,
    pub(super) entries: BTreeMap<Handle, Entry<D::Block>>,
    pub(super) uses: Uses,
    /// Uses that are over when the mark is ready.
    pub(super) ends: Vec<End<D::Mark>>,
    pub(super) retained: BTreeSet<(u64, Handle)>,
    /// Unregistered, and released by the planner or by the end of all: memory and addresses are to be given
    /// up.
    pub(super) gone: Vec<Handle>,
    /// Addresses whose memory can't be unmapped; tried once more at the end.
    pub(super) stuck: Vec<Addresses<D::Block>>,
    pub(super) losses: Vec<Loss>,
    pub(super) step: u64,
    pub(super) now_ns: u64,
    pub(super) stranded_bytes: u64,
    pub(super) failures: u64,
    /// So often in a row nothing could go on.
    pub(super) stalls: u32,
    /// Pinned memory that is being filled for a state to come.
    pub(super) homes_out: usize,
    /// What has ended so far.
    pub(super) progress: u64,
    /// Something was asked since the link's spare time was told.
    pub(super) restless: bool,
    pub(super) is_lost: bool,
    pub(super) is_closing: bool,
}

/// What an owner said of a state when it was registered. The owner's code runs before anything is locked.
pub(super) struct Described {
    id: u64,
    owners: Vec<AgentId>,
    pub own_bytes: u64,
    /// What the planner counts: whole grains.
    bytes: u64,
    kind: Kind,
    contents: Contents,
    dirty: Ranges,
    reload_ns: u64,
    recompute_ns: Option<u64>,
}

impl Described {
    pub fn of(state: &dyn AgentState) -> Self {
        Self {
            id: state.id(),
            owners: state.owners(),
            own_bytes: state.bytes(),
            bytes: state.bytes(),
            kind: state.kind(),
            contents: state.contents(),
            dirty: state.dirty(),
            reload_ns: state.reload_cost_ns(),
            recompute_ns: state.recompute_cost_ns(),
        }
    }
}

impl AgentState for Described {
    fn id(&self) -> u64 {
        self.id
    }
    fn owners(&self) -> Vec<AgentId> {
        self.owners.clone()
    }
    fn bytes(&self) -> u64 {
        self.bytes
    }
    fn kind(&self) -> Kind {
        self.kind
    }
    fn contents(&self) -> Contents {
        self.contents
    }
    fn dirty(&self) -> Ranges {
        self.dirty.clone()
    }
    fn reload_cost_ns(&self) -> u64 {
        self.reload_ns
    }
    fn recompute_cost_ns(&self) -> Option<u64> {
        self.recompute_ns
    }
}

/// Buffers for both lanes: equal, as large as they may be, and none if nothing can be pinned.
pub(super) fn staging<D: Device>(
    device: &mut D,
    arena: &mut Arena,
    settings: &Settings,
) -> Result<(Vec<Home>, Vec<Home>), DeviceFault> {
    let each = settings.chunks_in_flight.clamp(1, 8) as usize;
    let most = usize::try_from(settings.chunk_bytes).unwrap_or(usize::MAX).min(STAGING_BYTES);
    // At least half of the arena is for host copies.
    let mut bytes = most.min(settings.pinned_bytes / (4 * each));
    while bytes >= LEAST_STAGING_BYTES {
        let mut buffers = Vec::new();
        while buffers.len() < 2 * each
            && let Some(buffer) = arena.take(device, bytes)?
        {
            buffers.push(buffer);
        }
        if buffers.len() == 2 * each {
            let outward = buffers.split_off(each);
            return Ok((buffers, outward));
        }
        for buffer in buffers {
            arena.give(&buffer);
        }
        bytes /= 2;
    }
    Ok((Vec::new(), Vec::new()))
}

impl<D: Device> Host<D> {
    /// Takes a device into its hands; the calling thread is the one that drives it.
    ///
    /// # Errors
    /// [`EngineError::BadSettings`]; the device can't be used.
    pub fn new(
        mut device: D,
        policy: Box<dyn Policy>,
        settings: Settings,
    ) -> Result<Self, EngineError> {
        settings.check()?;
        device.attach()?;
        let total_bytes = device.memory()?.total_bytes;
        let mut arena = Arena::new(settings.pinned_bytes);
        let least_bytes = settings.chunk_bytes;
        let (inward, outward) = match staging(&mut device, &mut arena, &settings) {
            Ok(buffers) => buffers,
            Err(fault) => {
                // SAFETY: the buffers were given up, and there are no states yet.
                unsafe { arena.empty(&mut device) };
                return Err(fault.into());
            }
        };
        let planner = planner::Settings {
            budget_bytes: settings.budget_bytes,
            chunk_bytes: settings.chunk_bytes,
            chunks_in_flight: settings.chunks_in_flight,
        };
        Ok(Self {
            planner: Planner::new(policy, planner),
            total_bytes,
            pages: Pages::new(device.granularity(), settings.block_bytes, settings.budget_bytes),
            device: Some(device),
            arena,
            inward: Lanes::new(Lane::In, inward, Meter::new(least_bytes)),
            outward: Lanes::new(Lane::Out, outward, Meter::new(least_bytes)),
            window: Window::new(),
            entries: BTreeMap::new(),
            uses: Uses::default(),
            ends: Vec::new(),
            retained: BTreeSet::new(),
            gone: Vec::new(),
            stuck: Vec::new(),
            losses: Vec::new(),
            step: 0,
            now_ns: 0,
            stranded_bytes: 0,
            failures: 0,
            stalls: 0,
            homes_out: 0,
            progress: 0,
            restless: false,
            is_lost: false,
            is_closing: false,
            settings,
        })
    }

    /// Takes a state into its care.
    ///
    /// # Errors
    /// [`EngineError::BadSize`]; [`EngineError::TooLarge`] for the device; [`EngineError::OutOfHostMemory`];
    /// [`EngineError::Stopped`].
    pub fn register(
        &mut self,
        state: &dyn AgentState,
        copy: HostCopy<'_>,
    ) -> Result<Handle, EngineError> {
        let described = Described::of(state);
        let contents = match copy {
            HostCopy::Borrowed(borrowed) => return self.register_at(described, borrowed.home()),
            HostCopy::Kept => None,
            HostCopy::KeptFrom(contents) => Some(contents),
        };
        let mut home = self.home(described.own_bytes)?;
        if let Err(error) = home.fill(contents) {
            self.give_home(home);
            return Err(error);
        }
        self.register_at(described, home)
    }

    /// Memory for a host copy: pinned while there is room. Contents are arbitrary. It is to be handed to
    /// [`Self::register_at`] or [`Self::give_home`]; until then the arena stays.
    pub(super) fn home(&mut self, bytes: u64) -> Result<Home, EngineError> {
        // Before the host looks for memory for what the device can never hold.
        self.device_bytes(bytes)?;
        let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes > 0);
        let bytes = bytes.ok_or(EngineError::BadSize)?;
        if self.is_closing {
            return Err(EngineError::Stopped);
        }
        if let Some(device) = self.device.as_mut().filter(|_| !self.is_lost) {
            match self.arena.take(device, bytes) {
                Ok(Some(home)) => {
                    self.homes_out += 1;
                    return Ok(home);
                }
                Ok(None) => {}
                Err(fault) => self.lose(fault),
            }
        }
        Home::on_heap(bytes)
    }

    /// What a state takes on the device: whole grains.
    fn device_bytes(&self, bytes: u64) -> Result<u64, EngineError> {
        let device_bytes = self.pages.round(bytes).ok_or(EngineError::BadSize)?;
        if device_bytes > self.total_bytes {
            return Err(EngineError::TooLarge { bytes, limit_bytes: self.total_bytes });
        }
        Ok(device_bytes)
    }

    /// Takes memory back that did not become a state's.
    pub(super) fn give_home(&mut self, home: Home) {
        if home.keep == Keep::Pinned {
            self.homes_out -= 1;
            self.arena.give(&home);
        }
    }

    /// As [`Self::register`], with memory that holds the contents.
    pub(super) fn register_at(
        &mut self,
        mut state: Described,
        home: Home,
    ) -> Result<Handle, EngineError> {
        let handle = match self.enter(&mut state, &home) {
            Ok(handle) => handle,
            Err(error) => {
                self.give_home(home);
                return Err(error);
            }
        };
        self.homes_out -= usize::from(home.keep == Keep::Pinned);
        let entry = Entry {
            bytes: state.own_bytes,
            device_bytes: state.bytes,
            range: Addresses::new(state.bytes),
            home,
            owners: state.owners.into_iter().collect(),
            pins: 0,
            retained_until: None,
            claims: 0,
            waiting: VecDeque::new(),
            is_fresh: false,
            fault: None,
        };
        self.entries.insert(handle, entry);
        self.settle();
        Ok(handle)
    }

    fn enter(&mut self, state: &mut Described, home: &Home) -> Result<Handle, EngineError> {
        if self.is_closing {
            return Err(EngineError::Stopped);
        }
        let bytes = state.own_bytes;
        if bytes == 0 || home.bytes as u64 != bytes || state.dirty.end() > bytes {
            return Err(EngineError::BadSize);
        }
        state.bytes = self.device_bytes(bytes)?;
        if state.reload_ns == 0 {
            state.reload_ns = self.reload_ns(bytes);
        }
        Ok(self.planner.register(state)?)
    }

    fn reload_ns(&self, bytes: u64) -> u64 {
        let speed = u128::from(self.inward_bytes_per_second());
        u64::try_from(u128::from(bytes) * 1_000_000_000 / speed).unwrap_or(u64::MAX)
    }

    pub(super) fn inward_bytes_per_second(&self) -> u64 {
        let measured = self.inward.meter.bytes_per_second();
        measured.unwrap_or(self.settings.assumed_bytes_per_second)
    }

    /// Forgets a state; its handle is stale at once. Who waits for it is refused. Its host memory is left
    /// alone once [`Self::holds`] says so.
    ///
    /// # Errors
    /// [`EngineError::UnknownState`]; [`EngineError::InUse`].
    pub fn unregister(&mut self, state: Handle) -> Result<(), EngineError> {
        self.planner.unregister(state)?;
        if let Some(entry) = self.entries.get_mut(&state) {
            let kept = u32::from(entry.pins > 0) + u32::from(entry.retained_until.is_some());
            entry.pins = 0;
            if let Some(until) = entry.retained_until.take() {
                self.retained.remove(&(until, state));
            }
            for _ in 0..kept {
                self.unclaim(state);
            }
        }
        if self.is_closing {
            self.gone.push(state);
        }
        self.settle();
        Ok(())
    }

    /// Whether a state, registered or not any more, has memory here.
    #[must_use]
    pub fn holds(&self, state: Handle) -> bool {
        self.entries.contains_key(&state)
    }
}
