//! What the environment says: the one file that reads it. Floor: cellar.

use std::{env, path::PathBuf};

/// The driver's library, from `ACE_CUDA_LIBRARY`: a path, or a name that the loader looks for. Unset or
/// empty: `libcuda.so.1`.
#[must_use]
pub fn cuda_library() -> PathBuf {
    let set = env::var_os("ACE_CUDA_LIBRARY").filter(|value| !value.is_empty());
    set.map_or_else(|| PathBuf::from("libcuda.so.1"), PathBuf::from)
}
