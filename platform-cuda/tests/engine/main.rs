//! The engine over a model device that watches it.
//!
//! `ACE_TEST_SEED` and `ACE_TEST_CASES` vary the runs.

#![cfg(feature = "std")]

mod closing;
mod faults;
mod laws;
mod model;
mod stage;
mod threads;
mod walks;
