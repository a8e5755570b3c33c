//! The lock-free protocols of the core (`core/src/protocol`) under loom, which runs every interleaving
//! of a model's threads, up to a number of preemptions, and every value that the memory model lets a
//! load return.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test --release -p ace-alloc-loom --target-dir target/loom
//! ACE_LOOM_DEEP=1 …   more preemptions and longer models: minutes instead of seconds
//! ```
//!
//! | file | owns |
//! |---|---|
//! | `explore` | runs a model, counts its interleavings, demands that a seeded bug be found |
//! | `kernels` | what models need of a protocol, so that they run on production text and on mutants |
//! | `house` | what lies between the protocols: route, pool, slab, chunks, each as short as can be |
//! | `mail` | M1, M2, M10, M11: blocks that are freed by other threads |
//! | `slabs` | M3: who adopts a slab of the pool |
//! | `superslabs` | M4, M5, M6: tiers, pins and release |
//! | `control` | M7, M8: what threads tell ACE, and what it turns |
//! | `locks` | M9 and the lock itself |
//! | `visits` | M12: visitors of a heap whose thread may wake up |
//! | `../mutants.rs` | the seeded bugs: a table from which `build.rs` makes changed copies of the protocols |
//!
//! Without `--cfg loom` the package is empty.

#![cfg(all(loom, test))]

mod control;
mod explore;
mod house;
mod kernels;
mod locks;
mod mail;
mod slabs;
mod superslabs;
mod visits;

/// The changed copies say `crate::sync`, as the production text does.
use ace_alloc::{protocol, sync};

mod mutants {
    //! Written by `build.rs`.
    include!(concat!(env!("OUT_DIR"), "/mutants.rs"));
}
