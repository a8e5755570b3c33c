//! Where the kernels leave their digests: three words a request. Floor: second.

use crate::{
    bench::Bench,
    contents::{WORD, word_of},
    memory::{Mapped, download, upload},
};
use ace_alloc_cuda::device::{DeviceAddress, DeviceFault};

const WORDS: usize = 3;
const BYTES: usize = WORDS * WORD as usize;

pub struct Sums {
    memory: Mapped,
    bytes: usize,
}

impl Sums {
    /// All zero.
    pub fn new(bench: &mut Bench, requests: usize) -> Result<Self, DeviceFault> {
        let bytes = requests * BYTES;
        let memory = Mapped::new(&mut bench.device, bytes as u64)?;
        upload(&mut bench.device, &memory, &vec![0; bytes], bytes)?;
        Ok(Self { memory, bytes })
    }

    pub fn of(&self, request: usize) -> DeviceAddress {
        self.memory.start().plus((request * BYTES) as u64)
    }

    /// Brings them back. No kernel runs any more.
    pub fn read(self, bench: &mut Bench) -> Result<Vec<[u64; WORDS]>, DeviceFault> {
        let mut bytes = vec![0; self.bytes];
        download(&mut bench.device, &mut bytes, &self.memory, self.bytes)?;
        self.memory.free(&mut bench.device)?;
        let words = |sums: &[u8]| [0, 1, 2].map(|at| word_of(&sums[at * WORD as usize..]));
        Ok(bytes.chunks_exact(BYTES).map(words).collect())
    }
}
