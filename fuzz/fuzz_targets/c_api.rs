//! The C functions of `libace_alloc.so` with hostile sizes and alignments: each answers as its contract
//! says, and in the end nothing is in use.
#![no_main]

use ace_alloc_fuzz::c_calls::Calls;
use ace_alloc_fuzz::program::Program;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|calls: Calls| {
    let mut program = Program::new();
    for &call in &calls.0 {
        program.call(call);
    }
    program.finish();
});
