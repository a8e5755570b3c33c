//! Why a check ends early, in a sentence. Floor: cellar.

use ace_alloc_cuda::{device::DeviceFault, driver::OpenError, engine::EngineError};
use std::{io, path::PathBuf};

/// See the module's documentation.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("{0}")]
    Device(#[from] DeviceFault),
    #[error("the engine: {0}")]
    Engine(#[from] EngineError),
    /// Something arrived other than it was sent.
    #[error("contents differ: {0}")]
    Contents(String),
    #[error("{0}")]
    Unfit(String),
    #[error("{} can't be written: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },
}

impl Failure {
    /// 2: there is no device to check.
    pub const fn exit_code(&self) -> u8 {
        if matches!(self, Self::Open(_)) { 2 } else { 1 }
    }
}
