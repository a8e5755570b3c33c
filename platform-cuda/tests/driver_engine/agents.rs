//! What the tests of the house share: a small device, states, and a kernel that fills one. Floor: garden.

use ace_alloc_cuda::device::DeviceAddress;
use ace_alloc_cuda::driver::{Argument, CudaDevice, Function, Grid, Library, Stream};
use ace_alloc_cuda::engine::Settings;
use ace_alloc_cuda::state::{AgentId, AgentState, Contents, Kind};
use ace_alloc_tests::fake_cuda::Fake;
use std::ptr;

pub const GRAIN: u64 = 64 << 10;
pub const BUDGET_BYTES: u64 = 8 * GRAIN;
pub const AGENTS: u64 = 8;
/// Memory is short: of 16 states, a few fit. A grain is copied in 16 µs, and a question takes 10.
const OPTIONS: &str = "memory_bytes=786432 granularity_bytes=65536 kernel_ns=30000 \
    in_bytes_per_second=4000000000 out_bytes_per_second=4000000000";
const GRID: Grid = Grid { blocks: [1, 1, 1], threads: [256, 1, 1] };

/// Sizes at which a state has several chunks and blocks, and not all host copies are pinned.
pub fn settings() -> Settings {
    Settings {
        chunk_bytes: 3 * GRAIN / 2,
        block_bytes: 2 * GRAIN,
        window_ns: 200_000,
        ..Settings::new(BUDGET_BYTES, 6 * GRAIN as usize)
    }
}

/// A state of an agent: so many grains.
pub struct Plain {
    pub agent: AgentId,
    pub grains: u64,
}

impl Plain {
    /// The states that there are: two for each agent.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..2 * AGENTS)
            .map(|number| Self { agent: AgentId(number % AGENTS), grains: 1 + number % 3 })
    }

    pub const fn words(&self) -> u64 {
        self.grains * GRAIN / 4
    }
}

impl AgentState for Plain {
    fn id(&self) -> u64 {
        self.agent.0
    }
    fn owners(&self) -> Vec<AgentId> {
        vec![self.agent]
    }
    fn bytes(&self) -> u64 {
        self.grains * GRAIN
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    fn contents(&self) -> Contents {
        Contents::Host { version: 1 }
    }
    fn reload_cost_ns(&self) -> u64 {
        self.grains * 16_000
    }
}

/// So many words of this value.
pub fn bytes_of(value: u32, words: u64) -> Vec<u8> {
    value.to_le_bytes().repeat(words as usize)
}

/// A device of the fake's, new.
pub fn device(fake: &Fake) -> CudaDevice {
    fake.reset();
    fake.configure(OPTIONS);
    // SAFETY: The fake has the driver's ABI.
    let library = unsafe { Library::open(fake.path()) }.expect("a driver");
    CudaDevice::open(library, 0).expect("a device")
}

/// A stream and the kernel that fills a state.
pub struct Filler {
    pub stream: Stream,
    fill: Function,
}

impl Filler {
    pub fn new(device: &CudaDevice) -> Self {
        let stream = device.stream().expect("a stream");
        let module = device.module(c".version 7.0\n.target sm_52\n.visible .entry ace_fill(\n)");
        let fill = module.and_then(|module| module.function(c"ace_fill")).expect("a kernel");
        Self { stream, fill }
    }

    /// Queues the kernel. Returns whether it was taken.
    ///
    /// # Safety
    /// The memory is there until the stream has come past it.
    pub unsafe fn fill(&self, address: DeviceAddress, words: u64, value: u32) -> bool {
        let arguments = [Argument::Address(address), Argument::U64(words), Argument::U32(value)];
        // SAFETY: The kernel's arguments; for the memory, the caller's promise.
        unsafe { self.fill.launch(GRID, &self.stream, &arguments) }.is_ok()
    }
}

/// The first and the last of some words of the fake's device memory, which is the host's.
pub fn ends(address: DeviceAddress, words: u64) -> [u32; 2] {
    [0, words - 1].map(|index| {
        let word = ptr::with_exposed_provenance::<u32>(address.plus(4 * index).0 as usize);
        // SAFETY: The engine granted the address, and nothing on the device writes there now.
        unsafe { word.read() }
    })
}
