//! The device under test, its kernel, and what all chapters share. Floor: first.

use crate::{args::Args, contents::WORD, failure::Failure, figures::median_of, memory::Mapped};
use ace_alloc_cuda::{
    device::{Device, DeviceAddress, DeviceFault},
    driver::{Argument, CudaDevice, Event, Function, Grid, Library, OpenError, Stream},
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{ffi::CStr, time::Duration};

/// Text, with the zero at its end that the driver wants.
const PTX: &[u8] = concat!(include_str!("kernels.ptx"), "\0").as_bytes();
/// `CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT`
const PROCESSORS: i32 = 16;
/// Threads of a block; 8 blocks fill a processor of today's devices.
const THREADS: u32 = 256;
const BLOCKS_A_PROCESSOR: u32 = 8;

/// See the module's documentation.
pub struct Bench {
    pub device: CudaDevice,
    /// For kernels.
    pub stream: Stream,
    mix: Function,
    most_blocks: u32,
    library: Library,
    ordinal: u32,
    bar: ProgressBar,
}

/// The arguments of `ace_mix`; see `kernels.ptx`.
#[derive(Clone, Copy)]
pub struct Mix {
    pub data: DeviceAddress,
    pub words: u64,
    pub first: u64,
    pub rounds: u32,
    pub key: u64,
    /// Three words.
    pub sums: DeviceAddress,
}

/// What the kernel takes for a word.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    base_ns: f64,
    round_ns: f64,
}

impl Pace {
    /// From what a word takes with one round and with many. What does not depend on the rounds, as on a
    /// fake, can't be made to last by them.
    fn of(one_ns: f64, many_ns: f64, many: u32) -> Self {
        let is_clear = many_ns > 1.5 * one_ns;
        let round_ns = if is_clear { (many_ns - one_ns) / f64::from(many - 1) } else { 0.0 };
        Self { base_ns: (one_ns - round_ns).max(0.0), round_ns }
    }

    /// So many rounds make the kernel take about this time; at least one.
    pub fn rounds(&self, words: u64, wanted: Duration) -> u32 {
        let words = words as f64;
        let left_ns = wanted.as_secs_f64() * 1e9 - self.base_ns * words;
        let rounds = left_ns / (self.round_ns * words);
        if rounds.is_finite() { rounds.clamp(1.0, 65_536.0) as u32 } else { 1 }
    }
}

impl Bench {
    pub fn open(args: &Args, bar: ProgressBar) -> Result<Self, Failure> {
        let library = match &args.driver {
            // SAFETY: Who names a library on the command line answers for it, as the loader's path does.
            Some(path) => unsafe { Library::open(path) }?,
            None => Library::find()?,
        };
        let mut device = CudaDevice::open(library, args.device)?;
        device.attach()?;
        let text = CStr::from_bytes_with_nul(PTX)
            .map_err(|_| Failure::Unfit("the kernel's text has a zero byte in it".into()))?;
        let mix = device.module(text)?.function(c"ace_mix")?;
        let processors = device.attribute(PROCESSORS).ok().and_then(|count| count.try_into().ok());
        let most_blocks = processors.unwrap_or(1).max(1) * BLOCKS_A_PROCESSOR;
        let stream = device.stream()?;
        bar.set_style(style());
        Ok(Self { device, stream, mix, most_blocks, library, ordinal: args.device, bar })
    }

    pub const fn library(&self) -> Library {
        self.library
    }

    /// The same device once more, for an engine.
    pub fn another(&self) -> Result<CudaDevice, OpenError> {
        CudaDevice::open(self.library, self.ordinal)
    }

    /// Says on stderr what is done now, in so many parts.
    pub fn begin(&self, what: &str, parts: u64) {
        self.bar.set_length(parts);
        self.bar.set_position(0);
        self.bar.set_message(what.to_owned());
    }

    pub fn advance(&self) {
        self.bar.inc(1);
    }

    /// Queues the kernel.
    ///
    /// # Safety
    /// Data and sums are mapped, and left alone by others, until the stream has come past it.
    pub unsafe fn launch(&self, mix: &Mix) -> Result<(), DeviceFault> {
        let blocks = mix.words.div_ceil(u64::from(THREADS)).clamp(1, self.most_blocks.into());
        let grid = Grid { blocks: [blocks as u32, 1, 1], threads: [THREADS, 1, 1] };
        let arguments = [
            Argument::Address(mix.data),
            Argument::U64(mix.words),
            Argument::U64(mix.first),
            Argument::U32(mix.rounds),
            Argument::U64(mix.key),
            Argument::Address(mix.sums),
        ];
        // SAFETY: The arguments are those of `ace_mix`, and it touches the words of `data` and three of
        // `sums`: the caller's promise.
        unsafe { self.mix.launch(grid, &self.stream, &arguments) }
    }

    /// Queues the kernel between two events.
    ///
    /// # Safety
    /// As of [`Self::launch`].
    pub unsafe fn launch_timed(&self, mix: &Mix) -> Result<Run, DeviceFault> {
        let run = Run { start: self.device.event()?, end: self.device.event()? };
        run.start.record(&self.stream)?;
        // SAFETY: The caller's promise.
        unsafe { self.launch(mix) }?;
        run.end.record(&self.stream)?;
        Ok(run)
    }

    /// Runs the kernel on memory of one's own. Returns what it took on the device.
    fn time_of(
        &self,
        data: &Mapped,
        sums: &Mapped,
        words: u64,
        rounds: u32,
    ) -> Result<f64, DeviceFault> {
        let mix = Mix { data: data.start(), words, first: 0, rounds, key: 1, sums: sums.start() };
        // SAFETY: Both were mapped by the caller, who has borrowed them, and are waited for here.
        let run = unsafe { self.launch_timed(&mix) };
        self.stream.synchronize()?;
        run?.milliseconds()
    }

    /// Measures the kernel.
    pub fn pace(&mut self, bytes: u64, rounds: usize) -> Result<Pace, DeviceFault> {
        const MANY: u32 = 129;
        let data = Mapped::new(&mut self.device, bytes)?;
        let sums = Mapped::new(&mut self.device, 1)?;
        let words = bytes / WORD;
        // The first run loads the kernel.
        self.time_of(&data, &sums, words, 1)?;
        let measured = |count: u32| -> Result<f64, DeviceFault> {
            let times = (0..rounds).map(|_| self.time_of(&data, &sums, words, count));
            Ok(median_of(times.collect::<Result<_, _>>()?) * 1e6 / words as f64)
        };
        let (one_ns, many_ns) = (measured(1)?, measured(MANY)?);
        sums.free(&mut self.device)?;
        data.free(&mut self.device)?;
        Ok(Pace::of(one_ns, many_ns, MANY))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A kernel that was queued between two events.
pub struct Run {
    start: Event,
    end: Event,
}

impl Run {
    pub fn is_ready(&self) -> Result<bool, DeviceFault> {
        self.end.is_ready()
    }

    /// How long it ran, once it is ready.
    pub fn milliseconds(&self) -> Result<f64, DeviceFault> {
        self.end.milliseconds_since(&self.start).map(f64::from)
    }
}

fn style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{elapsed_precise} {bar:30} {pos}/{len} {msg}");
    style.unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_fill_the_wanted_time_and_are_one_where_they_do_not_matter() {
        // A word takes 1 ns, and 0.5 ns a round.
        let pace = Pace::of(1.5, 1.0 + 0.5 * 129.0, 129);
        assert_eq!(pace.rounds(1000, Duration::from_micros(11)), 20);
        assert_eq!(pace.rounds(1000, Duration::from_nanos(10)), 1);
        assert_eq!(pace.rounds(1000, Duration::from_secs(9)), 65_536);
        for many_ns in [1.5, 1.6, 0.9] {
            assert_eq!(Pace::of(1.5, many_ns, 129).rounds(1000, Duration::from_secs(1)), 1);
        }
    }
}
