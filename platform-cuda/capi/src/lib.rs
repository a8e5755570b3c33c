//! `libace_cuda.so`: the engine and the heap of `ace-alloc-cuda` for C and whatever calls C. Floor: adapter.
//! No logic of memory here: numbers to objects, results to status codes.
//!
//! ```text
//!  open         engines: settings, open, close
//!  state        states: register, share, what the host holds
//!  hint         steps, predictions, wishes
//!  lease        states in use
//!  tensor       states in use as DLPack tensors
//!  capsule      such tensors in Python's capsules
//!  heap         small blocks of device memory
//!  stats        what an engine did
//!  status       status codes and the last error's sentence
//!  table        numbers for objects: never used twice, so a stale one is noticed
//!  foreign      pointers of the caller's, checked as far as they can be
//!  dlpack       DLPack's structures
//! ```
//!
//! `include/ace_cuda.h` is made from these files by a test.
//!
//! No call panics: what a caller can get wrong is a status code. The lints below hold that, and a panic from
//! further down would end the process, not unwind into the caller.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

mod dlpack;
mod foreign;
mod status;
mod table;

// The header has them in this order.
mod open;
mod state;

mod hint;
mod lease;
mod tensor;

mod capsule;
mod heap;
mod stats;
