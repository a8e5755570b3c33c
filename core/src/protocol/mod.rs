//! The lock-free protocols of the house, as kernels of atomics and integers without memory of their
//! own: who may move what, when. A model checker runs this text unchanged. Floor: lift.

pub mod hatch;
pub mod inbox;
pub mod live;
pub mod pair;
pub mod parking;
pub mod tier;
pub mod turnstile;
