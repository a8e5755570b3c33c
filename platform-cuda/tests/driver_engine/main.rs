//! Promises of the whole house, from agents to the driver: the engine over `CudaDevice` over the fake, with
//! kernels of the users' own. Contents are right whenever they are granted, nothing goes too early, nothing
//! is left over. Floor: garden.
//!
//! `ACE_TEST_SEED` varies the runs.

#![cfg(feature = "driver")]

mod agents;
mod calls;
mod threads;
