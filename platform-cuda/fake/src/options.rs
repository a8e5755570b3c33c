//! What can be set, by text or by environment variables: one table for both. Floor: cellar.

use crate::faults::Rules;
use std::env;

macro_rules! options {
    ($($(#[$doc:meta])* $name:ident: $default:literal;)*) => {
        /// Numbers that the tests may choose.
        #[derive(Clone, Debug)]
        pub struct Options { $($(#[$doc])* pub $name: u64,)* }

        impl Default for Options {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Options {
            const NAMES: &'static [&'static str] = &[$(stringify!($name),)*];

            fn set(&mut self, name: &str, value: u64) -> bool {
                match name {
                    $(stringify!($name) => self.$name = value,)*
                    _ => return false,
                }
                true
            }
        }
    };
}

options! {
    /// Devices in the machine. Without one, `cuInit` says so.
    devices: 1;
    /// What `cuDriverGetVersion` says: 1000 × major + 10 × minor.
    driver_version: 12_080;
    /// Whether the devices can map physical memory under reserved addresses.
    virtual_memory: 1;
    /// Physical memory of each device.
    memory_bytes: 0x4000_0000;
    /// Grain of addresses and of physical memory; a power of two, at least a page.
    granularity_bytes: 0x20_0000;
    /// Addresses that can be reserved.
    address_bytes: 0x100_0000_0000;
    /// Host memory that can be pinned.
    pinned_bytes: 0x4000_0000;
    /// 0: time passes with each call, by `call_ns` or `query_ns`. 1: real time.
    real_time: 0;
    /// What a call takes.
    call_ns: 1_000;
    /// What asking about an event takes.
    query_ns: 10_000;
    /// Copies from pinned memory to a device. 0: no time at all.
    in_bytes_per_second: 25_000_000_000;
    /// Copies from a device to pinned memory.
    out_bytes_per_second: 25_000_000_000;
    /// Copies from and to memory that is not pinned; the call returns when they are done.
    pageable_bytes_per_second: 6_000_000_000;
    /// What a kernel takes.
    kernel_ns: 100_000;
    /// What `cuStreamIsCapturing` says of every stream. 0: it is not.
    capture_status: 0;
    /// 1: somebody captures in global mode; `cuEventQuery` and `cuMemHostAlloc` break it unless their thread
    /// is relaxed.
    global_capture: 0;
    /// The copy of this number, counted from 1, arrives with a bit flipped. 0: none does.
    corrupt_copy: 0;
    /// Copies count for `corrupt_copy` from when so many kernels have run.
    corrupt_after_kernels: 0;
}

/// Applies words of the form `name=value`. `fail=` adds a rule, `fail=none` removes all of them.
///
/// # Errors
/// The first word that says nothing.
pub fn apply(text: &str, options: &mut Options, rules: &mut Rules) -> Result<(), String> {
    for word in text.split_whitespace() {
        let understood = word.split_once('=').is_some_and(|(name, value)| match (name, value) {
            ("fail", "none") => {
                rules.clear();
                true
            }
            ("fail", rule) => rules.add(rule),
            _ => value.parse().is_ok_and(|value| options.set(name, value)),
        });
        if !understood {
            return Err(word.into());
        }
    }
    let grain = options.granularity_bytes;
    if grain < 4096 || !grain.is_power_of_two() {
        return Err(format!("granularity_bytes={grain}"));
    }
    Ok(())
}

/// The defaults under `ACE_FAKE_CUDA_MEMORY_BYTES` and so on; `ACE_FAKE_CUDA_FAIL` holds rules.
///
/// # Panics
/// If a variable makes no sense: no test should run on other options than it asked for.
pub fn given_at_start() -> (Options, Rules) {
    let (mut options, mut rules) = (Options::default(), Rules::default());
    for name in Options::NAMES.iter().chain(&["fail"]) {
        let variable = format!("ACE_FAKE_CUDA_{}", name.to_uppercase());
        let Ok(values) = env::var(&variable) else { continue };
        for value in values.split_whitespace() {
            let applied = apply(&format!("{name}={value}"), &mut options, &mut rules);
            assert!(applied.is_ok(), "{variable}: {value} makes no sense");
        }
    }
    (options, rules)
}
