//! What the tests share: a page provider that checks its caller and fails on demand, platforms made
//! of it, a shadow model of a heap, and what is needed to run programs under the library.

pub mod callgrind;
pub mod fake_cuda;
pub mod firmware;
#[cfg(feature = "bare-metal")]
pub mod flash;
pub mod house;
pub mod orders;
pub mod pages;
pub mod platforms;
pub mod product;
pub mod programs;
pub mod random;
pub mod regions;
pub mod script;
pub mod shadow;
