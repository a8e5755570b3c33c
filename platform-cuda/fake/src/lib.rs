//! A fake of the CUDA driver's library, for tests on machines without a GPU. Floor: garden.
//!
//! It has the C ABI of the functions that `ace-alloc-cuda` calls. Device memory is host memory: addresses
//! are reserved without access, so that touching what is not mapped ends the process. Copies and kernels
//! take place when their modelled time has passed, not when they are queued, and touch their memory only
//! then; if it is gone by then, the device is lost, as a real one would be.
//!
//! ```text
//!  api        the functions of the driver, by chapter of its manual
//!  control    ace_fake_configure, ace_fake_reset, ...: what tests call
//!  state      all there is, behind one lock; every call is counted, may fail, and lets time pass
//!  faults     rules by which calls fail
//!  queue      streams, events and the work on them, under a clock
//!  memory     reservations, blocks, mappings; pinned memory
//!  kernels    entries of PTX that have a twin on the host
//!  options    what can be set, by text or by environment variables
//!  code       the numbers of results and their names
//! ```

mod api;
mod code;
mod control;
mod faults;
mod kernels;
mod memory;
mod options;
mod queue;
mod state;
