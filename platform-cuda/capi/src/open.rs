//! Engines: settings, open, close; and [`Session`], what an engine's number stands for. Floor: second.

use crate::foreign::{self, Versioned};
use crate::status::{AceCudaStatus, Failure, answer};
use crate::table::{Table, unknown};
use ace_alloc_cuda::device::{Device, DeviceFault};
use ace_alloc_cuda::driver::{CudaDevice, Library};
use ace_alloc_cuda::engine::{self, Engine};
use ace_alloc_cuda::planner::Handle;
use ace_alloc_cuda::policy::{
    Ace, Chance, Cost, Distance, Guard, Hedge, Lru, OwnGap, Policy, Swap, default_policy,
};
use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// An engine, by its number. 0 is none.
pub type AceCudaEngine = u64;
/// A state of an engine, by its number. 0 is none.
pub type AceCudaState = u64;

/// Addresses of the device are pointers of the host, too. Only a fake of the driver can be opened so: tensors
/// then say that they are the CPU's. It is believed, not checked.
pub const ACE_CUDA_HOST_POINTERS: u32 = 1;

/// What is pinned where nobody said how much. Chosen.
const PINNED_BYTES: u64 = 256 << 20;
/// For the policies that toss coins: the same seed, the same run.
const SEED: u64 = 1;

/// How an engine is opened. Set `size` and leave all else zero for the defaults.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct AceCudaSettings {
    /// sizeof(struct AceCudaSettings).
    pub size: usize,
    /// The driver's library: a path, or a name that the loader looks for. NULL: what the environment
    /// variable ACE_CUDA_LIBRARY says, or else libcuda.so.1.
    pub driver: *const c_char,
    /// Which states go first: "ace", "hedge", "distance", "cost", "guard", "own gap", "lru", "random" or
    /// "swap". NULL: the one that is best for most, now "ace".
    pub policy: *const c_char,
    /// Device memory for states. 0: three quarters of what is free now.
    pub budget_bytes: u64,
    /// Host memory that may be pinned. 0: 256 MiB.
    pub pinned_bytes: u64,
    /// Copies are cut into chunks of so many bytes. 0: 16 MiB.
    pub chunk_bytes: u64,
    /// The device, from 0, as the driver numbers them.
    pub device: u32,
    /// ACE_CUDA_HOST_POINTERS, or 0.
    pub flags: u32,
}

// SAFETY: `repr(C)`, `size` comes first, and every field takes any bytes.
unsafe impl Versioned for AceCudaSettings {}

/// A state under its number.
#[derive(Clone, Copy)]
pub struct Named {
    pub handle: Handle,
    pub bytes: u64,
}

/// An engine and what is needed beside it. Leases and calls that are under way hold it.
pub struct Session {
    pub engine: Engine<CudaDevice>,
    pub device: u32,
    pub has_host_pointers: bool,
    step: AtomicU64,
    states: Mutex<BTreeMap<AceCudaState, Named>>,
    library: Library,
    /// Opened when it is needed first: it has two streams.
    copier: Mutex<Option<CudaDevice>>,
}

pub static ENGINES: Table<Session> = Table::new("engine");

impl Session {
    pub fn states(&self) -> MutexGuard<'_, BTreeMap<AceCudaState, Named>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn state(&self, number: AceCudaState) -> Result<Named, Failure> {
        self.states().get(&number).copied().ok_or_else(|| unknown("state", number))
    }

    pub fn step(&self) -> u64 {
        self.step.load(Ordering::Relaxed)
    }

    pub fn set_step(&self, step: u64) -> Result<(), Failure> {
        self.engine.step(step)?;
        self.step.fetch_max(step, Ordering::Relaxed);
        Ok(())
    }

    /// Has something done by a device that the engine does not drive.
    pub fn copy(
        &self,
        call: impl FnOnce(&CudaDevice) -> Result<(), DeviceFault>,
    ) -> Result<(), Failure> {
        let mut copier = self.copier.lock().unwrap_or_else(PoisonError::into_inner);
        let copier = match &mut *copier {
            Some(copier) => copier,
            none => none.insert(CudaDevice::open(self.library, self.device)?),
        };
        Ok(call(copier)?)
    }
}

/// A driver by its path, or the one that the environment says.
///
/// # Safety
/// As [`Library::open`].
pub unsafe fn library(driver: Option<&CStr>) -> Result<Library, Failure> {
    Ok(match driver {
        // SAFETY: the caller's promise.
        Some(path) => unsafe { Library::open(Path::new(OsStr::from_bytes(path.to_bytes()))) }?,
        None => Library::find()?,
    })
}

/// What is free on a device. Asked on a thread of its own: the caller's keeps the context that it has.
fn free_bytes(mut device: CudaDevice) -> Result<(CudaDevice, u64), Failure> {
    let ask = move || {
        device.attach()?;
        let memory = device.memory()?;
        Ok::<_, Failure>((device, memory.free_bytes))
    };
    let no_thread =
        || Failure::new(AceCudaStatus::EngineFailed, "a thread could not be started, or has died");
    let thread = thread::Builder::new().spawn(ask).map_err(|_| no_thread())?;
    thread.join().map_err(|_| no_thread())?
}

fn policy(name: Option<&CStr>) -> Result<Box<dyn Policy>, Failure> {
    let Some(name) = name else { return Ok(default_policy()) };
    let all: [Box<dyn Policy>; 9] = [
        Box::new(Ace::new()),
        Box::new(Hedge),
        Box::new(Distance),
        Box::new(Cost),
        Box::new(Guard::new(SEED)),
        Box::new(OwnGap),
        Box::new(Lru),
        Box::new(Chance::new(SEED)),
        Box::new(Swap),
    ];
    let known = all.iter().map(|policy| policy.name()).collect::<Vec<_>>().join(", ");
    let found = all.into_iter().find(|policy| policy.name().as_bytes() == name.to_bytes());
    found.ok_or_else(|| {
        let name = name.to_string_lossy();
        Failure::argument(format_args!("there is no policy `{name}`, but: {known}"))
    })
}

/// # Safety
/// As [`ace_cuda_open`].
unsafe fn open(
    settings: &AceCudaSettings,
    driver: Option<&CStr>,
    policy_name: Option<&CStr>,
) -> Result<AceCudaEngine, Failure> {
    if settings.flags & !ACE_CUDA_HOST_POINTERS != 0 {
        return Err(Failure::argument("flags that nobody knows"));
    }
    let policy = policy(policy_name)?;
    // SAFETY: the caller's promise.
    let library = unsafe { library(driver) }?;
    let device = CudaDevice::open(library, settings.device)?;
    let (device, budget_bytes) = match settings.budget_bytes {
        0 => free_bytes(device).map(|(device, free)| (device, (free / 4).saturating_mul(3)))?,
        bytes => (device, bytes),
    };
    let pinned_bytes =
        if settings.pinned_bytes == 0 { PINNED_BYTES } else { settings.pinned_bytes };
    let pinned_bytes = usize::try_from(pinned_bytes).unwrap_or(usize::MAX);
    let mut chosen = engine::Settings::new(budget_bytes, pinned_bytes);
    if settings.chunk_bytes != 0 {
        chosen.chunk_bytes = settings.chunk_bytes;
    }
    Ok(ENGINES.insert(Session {
        engine: Engine::start(device, policy, chosen)?,
        device: settings.device,
        has_host_pointers: settings.flags & ACE_CUDA_HOST_POINTERS != 0,
        step: AtomicU64::new(0),
        states: Mutex::new(BTreeMap::new()),
        library,
        copier: Mutex::new(None),
    }))
}

/// Opens a device and starts an engine on it. It works in the device's primary context, as CUDA's runtime
/// and PyTorch do; the calling thread's current context stays as it is. All functions that take an engine
/// may be called from any thread.
///
/// Gives the engine's number to `engine`.
///
/// # Safety
/// `settings` is NULL, for the defaults, or holds `size` bytes; its strings are C strings, and `driver` names
/// a driver of CUDA or no library at all. `engine` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_open(
    settings: *const AceCudaSettings,
    engine: *mut AceCudaEngine,
) -> AceCudaStatus {
    answer(|| {
        // SAFETY: the caller's promise.
        let engine = unsafe { foreign::place(engine, "engine") }?;
        let defaults = AceCudaSettings {
            size: size_of::<AceCudaSettings>(),
            driver: std::ptr::null(),
            policy: std::ptr::null(),
            budget_bytes: 0,
            pinned_bytes: 0,
            chunk_bytes: 0,
            device: 0,
            flags: 0,
        };
        let settings = if settings.is_null() {
            defaults
        } else {
            // SAFETY: the caller's promise.
            unsafe { foreign::versioned(settings, "settings") }?
        };
        // SAFETY: the caller's promise.
        let (driver, policy) =
            unsafe { (foreign::text(settings.driver), foreign::text(settings.policy)) };
        // SAFETY: as above.
        engine.write(unsafe { open(&settings, driver, policy) }?);
        Ok(())
    })
}

/// Stops an engine: waits until copies under way have ended, gives all device memory back and leaves the
/// memory of states alone. Its states are forgotten.
///
/// IN_USE while leases or tensors are held or other calls are under way: the engine goes on then.
#[unsafe(no_mangle)]
pub extern "C" fn ace_cuda_close(engine: AceCudaEngine) -> AceCudaStatus {
    answer(|| Ok(ENGINES.remove_alone(engine, |_| true)?.engine.stop()?))
}

/// Does something with an engine.
pub fn with_engine(
    engine: AceCudaEngine,
    call: impl FnOnce(&Arc<Session>) -> Result<(), Failure>,
) -> AceCudaStatus {
    answer(|| call(&ENGINES.get(engine)?))
}

/// Does something with a state of an engine.
pub fn with_state<E: Into<Failure>>(
    engine: AceCudaEngine,
    state: AceCudaState,
    call: impl FnOnce(&Engine<CudaDevice>, Handle) -> Result<(), E>,
) -> AceCudaStatus {
    with_engine(engine, |session| {
        call(&session.engine, session.state(state)?.handle).map_err(Into::into)
    })
}
