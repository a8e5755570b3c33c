//! From a fuzzer's bytes to what the targets play: sizes, scripts, attacks, calls of the C functions.
//! Every sequence of bytes means something, and few bytes mean much: mutations stay meaningful.

pub mod attack;
pub mod c_calls;
pub mod c_library;
pub mod orders;
pub mod program;
pub mod region;
pub mod script;
pub mod size;
pub mod verdict;
pub mod world;
