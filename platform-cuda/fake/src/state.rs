//! All there is, behind one lock. Every call is counted, may fail by a rule, and lets time pass.
//! Floor: first.

use crate::code::{
    ILLEGAL_ADDRESS, INVALID_CONTEXT, INVALID_HANDLE, NOT_INITIALIZED, Outcome,
    STREAM_CAPTURE_UNSUPPORTED,
};
use crate::faults::Rules;
use crate::kernels::Twin;
use crate::memory::Memory;
use crate::options::{self, Options};
use crate::queue::{Engine, Queue, Work};
use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::c_uint;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Calls that work without `cuInit`.
const BEFORE_INIT: &[&str] = &["cuInit", "cuDriverGetVersion", "cuGetErrorName"];
/// Calls that work after the device is lost, besides: they do not reach it.
const AFTER_LOSS: &[&str] = &[
    "cuDeviceGet",
    "cuDeviceGetCount",
    "cuDeviceGetName",
    "cuDeviceGetAttribute",
    "cuDevicePrimaryCtxRelease_v2",
    "cuCtxGetCurrent",
    "cuCtxSetCurrent",
];

static STATE: Mutex<Option<State>> = Mutex::new(None);
/// Handles are never used twice, also not after a reset, so that a stale one is noticed.
static NEXT_HANDLE: AtomicU64 = AtomicU64::new(0x1000);

thread_local! {
    /// The handle of the context that is current on this thread.
    pub static CURRENT: Cell<u64> = const { Cell::new(0) };
    /// What this thread may do while others capture: 0 is global.
    pub static CAPTURE_MODE: Cell<c_uint> = const { Cell::new(0) };
}

/// The mode in which a thread may do anything.
pub const CAPTURE_RELAXED: c_uint = 2;

/// A device's primary context.
pub struct Context {
    pub device: usize,
    pub retains: u64,
}

/// See the module's documentation.
pub struct State {
    pub options: Options,
    pub rules: Rules,
    pub memory: Memory,
    pub queue: Queue,
    pub contexts: HashMap<u64, Context>,
    /// The entries of each module.
    pub modules: HashMap<u64, Vec<String>>,
    pub functions: HashMap<u64, (u64, &'static Twin)>,
    pub is_started: bool,
    /// What all calls give since the device was lost.
    pub lost: Option<u32>,
    /// Copies and kernels that touched memory that was not there, or not theirs; calls that broke a capture.
    pub misuses: u64,
    /// Kernels that were run, and copies that were made and count for `corrupt_copy`.
    kernels: u64,
    copies: u64,
    pub calls: HashMap<&'static str, u64>,
    pub now_ns: u64,
    started: Instant,
}

impl State {
    fn new() -> Self {
        let (options, rules) = options::given_at_start();
        Self {
            options,
            rules,
            memory: Memory::default(),
            queue: Queue::default(),
            contexts: HashMap::new(),
            modules: HashMap::new(),
            functions: HashMap::new(),
            is_started: false,
            lost: None,
            misuses: 0,
            kernels: 0,
            copies: 0,
            calls: HashMap::new(),
            now_ns: 0,
            started: Instant::now(),
        }
    }

    /// A handle that was never used before.
    pub fn handle() -> u64 {
        NEXT_HANDLE.fetch_add(16, Ordering::Relaxed)
    }

    /// The device of the context that is current on this thread.
    pub fn device(&self) -> Result<usize, u32> {
        let context = self.contexts.get(&CURRENT.get()).ok_or(INVALID_CONTEXT)?;
        Ok(context.device)
    }

    /// A call that would break another thread's capture is refused, and counted as a misuse.
    pub fn spare_captures(&mut self) -> Outcome {
        if self.options.global_capture == 0 || CAPTURE_MODE.get() == CAPTURE_RELAXED {
            return Ok(());
        }
        self.misuses += 1;
        Err(STREAM_CAPTURE_UNSUPPORTED)
    }

    /// Lets time pass, and what ends in it take effect.
    pub fn pass(&mut self, ns: u64) {
        self.now_ns = if self.options.real_time == 0 {
            self.now_ns.saturating_add(ns)
        } else {
            u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
        };
        while let Some((device, work)) = self.queue.next_ended(self.now_ns) {
            if let Err(code) = self.finish(device, &work) {
                self.misuses += 1;
                self.lose(code);
            }
        }
    }

    fn finish(&mut self, device: usize, work: &Work) -> Outcome {
        match *work {
            Work::Copy { to, from, bytes, engine, is_pinned } => {
                let (there, host) = if engine == Engine::In { (to, from) } else { (from, to) };
                let is_there = self.memory.is_usable(device, there, bytes);
                if !is_there || is_pinned && !self.memory.is_pinned(host, bytes) {
                    return Err(ILLEGAL_ADDRESS);
                }
                self.memory.copy(to, from, bytes);
                self.copies += u64::from(self.kernels >= self.options.corrupt_after_kernels);
                if self.copies == self.options.corrupt_copy && bytes > 0 {
                    self.memory.flip_bit(to + bytes / 2);
                }
                Ok(())
            }
            Work::Kernel(ref launch) => {
                self.kernels += 1;
                launch.run(&self.memory, device)
            }
        }
    }

    /// The device is gone: what was queued is not done, and all calls give this from now on.
    pub fn lose(&mut self, code: u32) {
        self.lost.get_or_insert(code);
        self.queue.abandon();
    }

    fn allow(&mut self, name: &'static str) -> Outcome {
        let needs_nothing = BEFORE_INIT.contains(&name);
        if let Some(code) = self.lost
            && !needs_nothing
            && !AFTER_LOSS.contains(&name)
        {
            return Err(code);
        }
        if let Some(failure) = self.rules.judge(name) {
            if failure.is_lasting {
                self.lose(failure.code);
            }
            return Err(failure.code);
        }
        if needs_nothing || self.is_started { Ok(()) } else { Err(NOT_INITIALIZED) }
    }

    /// Gives one retain of a primary context back. With the last one, the context and what is in it goes;
    /// if the device is lost, what was on the device goes too.
    pub fn release_context(&mut self, device: usize) -> Outcome {
        let found = self.contexts.iter_mut().find(|(_, context)| context.device == device);
        let (&handle, context) = found.ok_or(INVALID_CONTEXT)?;
        context.retains -= 1;
        if context.retains > 0 {
            return Ok(());
        }
        self.contexts.remove(&handle);
        if self.lost.is_some() {
            self.memory = Memory::default();
            self.queue = Queue::default();
            self.modules.clear();
            self.functions.clear();
        }
        Ok(())
    }

    /// The entry of a module.
    pub fn entry(&self, module: u64, name: &str) -> Result<Option<&'static Twin>, u32> {
        let entries = self.modules.get(&module).ok_or(INVALID_HANDLE)?;
        let is_there = entries.iter().any(|entry| entry == name);
        Ok(crate::kernels::twin(name).filter(|_| is_there))
    }
}

/// Takes the lock, without a call.
pub fn with<R>(body: impl FnOnce(&mut State) -> R) -> R {
    let mut guard: MutexGuard<'_, _> = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    body(guard.get_or_insert_with(State::new))
}

/// Forgets everything; the next use starts from the environment.
pub fn reset() {
    *STATE.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// One call of the driver.
pub fn call(name: &'static str, body: impl FnOnce(&mut State) -> Outcome) -> u32 {
    with(|state| {
        *state.calls.entry(name).or_default() += 1;
        let is_query = name == "cuEventQuery";
        state.pass(if is_query { state.options.query_ns } else { state.options.call_ns });
        state.allow(name).and_then(|()| body(state)).err().unwrap_or(0)
    })
}

/// A call that returns when the time that `body` gives has come.
pub fn call_until(name: &'static str, body: impl FnOnce(&mut State) -> Result<u64, u32>) -> u32 {
    let mut until = 0;
    let result = call(name, |state| {
        until = body(state)?;
        Ok(())
    });
    if result != 0 {
        return result;
    }
    loop {
        let wait = with(|state| {
            let wait = until.saturating_sub(state.now_ns);
            // Under real time this only looks at the clock.
            state.pass(wait);
            let remaining = until.saturating_sub(state.now_ns);
            state.lost.map_or(Ok(remaining), Err)
        });
        match wait {
            Ok(0) => return 0,
            Ok(remaining) => thread::sleep(Duration::from_nanos(remaining)),
            Err(code) => return code,
        }
    }
}
