"""GPU memory of agents, moved by the distance to their next invocation: libace_cuda.so for Python.

No compiled extension, and nothing but the standard library. NumPy, PyTorch and others see states in place
through DLPack, the CUDA array interface or the array interface.

    import ace_cuda

    engine = ace_cuda.Engine(budget_bytes=8 << 30)
    cache = engine.register(bytes=64 << 20, owners=[7], kind="kv")      # the first user computes it
    adapter = engine.register(array, owners=[7], kind="lora")           # a copy of any buffer
    engine.step(12)
    engine.expect(7, steps=3)
    with engine.acquire(7, [cache, adapter]) as lease:
        tensor = torch.from_dlpack(lease.tensor(adapter, "float16", (64, 4096)))
        ...

What a lease ends after, when memory leaves the device and how long tensors keep it: see Lease and Tensor.

The library is looked for as `library=` says, then as the environment variable ACE_CUDA_CAPI says, then by
the loader as libace_cuda.so, then where `cargo build --release` of this repository leaves it.
"""

from .abi import KINDS, SOURCES, Error, Place, Status
from .engine import Engine, State
from .heap import Heap
from .use import DTYPES, Lease, Tensor

__all__ = [
    "DTYPES", "KINDS", "SOURCES", "Engine", "Error", "Heap", "Lease", "Place", "State", "Status", "Tensor",
]  # fmt: skip
