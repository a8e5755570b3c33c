//! The whole heap under a schedule explorer: several threads on one heap, and at every atomic access,
//! route entry, live bit and lock the explorer decides who runs next.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test --release -p ace-alloc-shuttle --target-dir target/shuttle`
//!
//! | variable | meaning |
//! |---|---|
//! | `ACE_SHUTTLE_SCHEDULES` | schedules of each promise in each geometry |
//! | `ACE_TEST_SEED` | where the schedulers begin; printed |
//! | `ACE_SHUTTLE_REPLAY` | the schedule that a failure printed: name the test too, and it runs that once |
//! | `ACE_SHUTTLE_BUG` | plants a bug that must be found; see `platform::Bug` |
//!
//! A panic prints its schedule. A crash can't: the same seed under a debugger leads there again.
//!
//! Empty without `--cfg shuttle`.

#![cfg(shuttle)]

pub mod explore;
pub mod house;
pub mod platform;
