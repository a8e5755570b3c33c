//! What an engine did. Floor: third.

use crate::foreign::{self, Versioned};
use crate::open::{AceCudaEngine, with_engine};
use crate::status::AceCudaStatus;
use ace_alloc_cuda::engine::Stats;

/// What an engine did so far, and how it is. Set `size` before the call.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct AceCudaStats {
    /// sizeof(struct AceCudaStats).
    pub size: usize,
    /// Uses of a state that began at once.
    pub hits: u64,
    /// Uses of a state that had to wait.
    pub misses: u64,
    /// Copied to the device because somebody waited. States count in whole grains of device memory.
    pub demand_bytes: u64,
    /// Copied to the device ahead of use.
    pub prefetch_bytes: u64,
    /// Of those, evicted before they were used.
    pub wasted_bytes: u64,
    /// Copied from the device.
    pub written_bytes: u64,
    /// States evicted.
    pub evictions: u64,
    /// Registered states, and those that are leaving.
    pub states: u64,
    /// Calls of ace_cuda_acquire that wait.
    pub waiting: u64,
    /// Uses that are granted and not over.
    pub leases: u64,
    /// The budget, or less if the device had less.
    pub limit_bytes: u64,
    /// What uses, pins and retained states claim of it.
    pub claimed_bytes: u64,
    /// Device memory behind states.
    pub mapped_bytes: u64,
    /// Device memory kept for reuse.
    pub pooled_bytes: u64,
    /// Device memory that could not be unmapped.
    pub stranded_bytes: u64,
    /// Pinned host memory.
    pub pinned_bytes: u64,
    /// How often the device did not pin what it was asked for.
    pub pin_refusals: u64,
    /// Bytes that arrived on the device.
    pub inward_bytes: u64,
    /// Bytes that arrived on the host.
    pub outward_bytes: u64,
    /// The measured speed to the device; 0: not known.
    pub inward_bytes_per_second: u64,
    /// The measured speed from the device; 0: not known.
    pub outward_bytes_per_second: u64,
    /// Copies between the device and a pinned host copy.
    pub direct_copies: u64,
    /// Copies through a pinned buffer.
    pub staged_copies: u64,
    /// Copies from or to memory that is not pinned, because nothing could be pinned.
    pub pageable_copies: u64,
    /// Copies, maps and unmaps that failed.
    pub failures: u64,
    /// 1 if the device is lost.
    pub is_lost: u64,
}

// SAFETY: `repr(C)`, `size` comes first, and every field takes any bytes.
unsafe impl Versioned for AceCudaStats {}

impl From<Stats> for AceCudaStats {
    fn from(stats: Stats) -> Self {
        let totals = stats.totals;
        Self {
            size: size_of::<Self>(),
            hits: totals.hits,
            misses: totals.misses,
            demand_bytes: totals.demand_bytes,
            prefetch_bytes: totals.prefetch_bytes,
            wasted_bytes: totals.wasted_bytes,
            written_bytes: totals.written_bytes,
            evictions: totals.evictions,
            states: stats.states as u64,
            waiting: stats.waiting_groups as u64,
            leases: stats.groups_in_use as u64,
            limit_bytes: stats.limit_bytes,
            claimed_bytes: stats.claimed_bytes,
            mapped_bytes: stats.mapped_bytes,
            pooled_bytes: stats.pooled_bytes,
            stranded_bytes: stats.stranded_bytes,
            pinned_bytes: stats.pinned_bytes as u64,
            pin_refusals: stats.pin_refusals,
            inward_bytes: stats.inward_bytes,
            outward_bytes: stats.outward_bytes,
            inward_bytes_per_second: stats.inward_bytes_per_second.unwrap_or(0),
            outward_bytes_per_second: stats.outward_bytes_per_second.unwrap_or(0),
            direct_copies: stats.direct_copies,
            staged_copies: stats.staged_copies,
            pageable_copies: stats.pageable_copies,
            failures: stats.failures,
            is_lost: u64::from(stats.is_lost),
        }
    }
}

/// Tells what an engine did. Fields that this version does not know are set to 0.
///
/// # Safety
/// `stats` holds as many bytes as its field `size` says, and may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_stats(
    engine: AceCudaEngine,
    stats: *mut AceCudaStats,
) -> AceCudaStatus {
    with_engine(engine, |session| {
        let found = session.engine.stats()?.into();
        // SAFETY: the caller's promise.
        unsafe { foreign::give_versioned(stats, &found, "stats") }
    })
}
