"""States in use, and tensors of them."""

import ctypes
import weakref
from ctypes import POINTER, byref, c_char_p, c_int64, c_uint32, c_uint64, c_void_p, cast, py_object

from .abi import Managed, ManagedVersioned, quietly, readable, writable

DTYPES = {
    "int8": (0, 8, "|i1", "b"),
    "int16": (0, 16, "<i2", "h"),
    "int32": (0, 32, "<i4", "i"),
    "int64": (0, 64, "<i8", "q"),
    "uint8": (1, 8, "|u1", "B"),
    "uint16": (1, 16, "<u2", "H"),
    "uint32": (1, 32, "<u4", "I"),
    "uint64": (1, 64, "<u8", "Q"),
    "float16": (2, 16, "<f2", None),
    "float32": (2, 32, "<f4", "f"),
    "float64": (2, 64, "<f8", "d"),
    "bfloat16": (4, 16, None, None),
    "complex64": (5, 64, "<c8", None),
    "complex128": (5, 128, "<c16", None),
    "bool": (6, 8, "|b1", "?"),
    "float8_e4m3fn": (10, 8, None, None),
    "float8_e5m2": (12, 8, None, None),
}
"""Types of elements: DLPack's code and bits, the array interfaces' name, `memoryview`'s."""

_CPU, _CUDA = 1, 2
_LEGACY_STREAM, _PER_THREAD_STREAM = 1, 2


def _end(library, number, has_host_pointers, streams):
    if has_host_pointers and not streams:
        library.end(number)
    else:
        library.end_after(number, next(iter(streams), _LEGACY_STREAM))


class Lease:
    """States in use: they stay on the device until the lease has ended and the last Tensor of it is gone.

    It ends after the work that is queued on one stream. That is the one given to `end`, or the one that a
    consumer named when it took a tensor, or else the legacy default stream. Work on other streams must be
    done or waited for there. On the fake with host pointers it ends at once, unless there is a stream.

    Ended by `end`, at the end of a `with`, or when it is garbage."""

    def __init__(self, engine, number):
        self.engine, self.number, self._streams = engine, number, set()
        arguments = engine.library, number, engine.has_host_pointers, self._streams
        self._finalizer = weakref.finalize(self, quietly, _end, *arguments)

    def _call(self, name, state, *arguments):
        getattr(self.engine.library, name)(self.number, state.number, *arguments)

    def address(self, state):
        """The address of a state, as of a CUdeviceptr: the same for its whole life."""
        address = c_uint64()
        self._call("address", state, byref(address))
        return address.value

    def is_fresh(self, state):
        """Whether a state has no contents: compute them, and say `wrote`."""
        fresh = c_uint32()
        self._call("is_fresh", state, byref(fresh))
        return fresh.value != 0

    def wrote(self, state, offset=0, size=None):
        """You write to a part of a state, or all of it; say so while the lease has not ended."""
        self._call("wrote", state, offset, state.size - offset if size is None else size)

    def copy_in(self, state, data, offset=0):
        """Copies a buffer to a part of a state, and says so."""
        start, size, _kept = readable(data)
        self._call("copy_in", state, offset, start, size)

    def copy_out(self, state, size=None, offset=0):
        """Copies a part of a state, or all of it, to a bytearray."""
        into = bytearray(state.size - offset if size is None else size)
        start, size, _kept = writable(into)
        self._call("copy_out", state, offset, start, size)
        return into

    def tensor(self, state, dtype="uint8", shape=None, offset=0):
        """A part of a state as something that NumPy, PyTorch and others take in place; without a shape, all
        from `offset` bytes on."""
        bits = DTYPES[dtype][1]
        shape = ((state.size - offset) * 8 // bits,) if shape is None else tuple(shape)
        return Tensor(self, state, dtype, shape, offset)

    def follow(self, stream):
        """The lease ends after this stream's work, whose number it is, or which has it as `cuda_stream`."""
        stream = getattr(stream, "cuda_stream", stream)
        if stream == _PER_THREAD_STREAM:
            raise BufferError("the per-thread default stream is another one on the engine's thread")
        if self._streams - {stream}:
            raise BufferError("a lease is used on one stream: make the others wait for it, or it for them")
        self._streams.add(stream)

    def end(self, stream=None):
        """Ends the use; see the class."""
        if stream is not None:
            self.follow(stream)
        _end(self.engine.library, self.number, self.engine.has_host_pointers, self._streams)
        self._finalizer.detach()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self._finalizer.alive:
            self.end() if kind is None else quietly(self.end)


class Tensor:
    """A part of a state in use, row-major. The state stays in use while this lives, or anything that was made
    of it by `__dlpack__`, `__cuda_array_interface__`, `__array_interface__` or `memoryview`.

    Who takes it by DLPack names the stream on which it will be used, and the lease ends after that. The array
    interfaces name none: `Lease.follow` or `Lease.end` says which it is."""

    def __init__(self, lease, state, dtype, shape, offset):
        self.lease, self.state, self.dtype, self.shape = lease, state, dtype, shape
        self._offset = offset
        managed = self._export("dlpack", Managed)
        self._data = managed.contents.dl_tensor.data or 0
        device = managed.contents.dl_tensor
        self._device = device.device_type, device.device_id
        self._finalizer = weakref.finalize(self, managed.contents.deleter, managed)

    def _export(self, function, wrapping):
        code, bits, _, _ = DTYPES[self.dtype]
        sizes, managed = (c_int64 * len(self.shape))(*self.shape), POINTER(wrapping)()
        arguments = self._offset, code, bits, sizes, len(self.shape), byref(managed)
        self.lease._call(function, self.state, *arguments)
        return managed

    def __dlpack_device__(self):
        return self._device

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        if copy or dl_device not in (None, self._device):
            raise BufferError("the memory is shared where it is, not copied")
        if self._device[0] == _CUDA and stream != -1:
            if stream == 0:
                raise BufferError("stream 0 is ambiguous: 1 is the legacy default stream")
            self.lease.follow(_LEGACY_STREAM if stream is None else stream)
        if max_version is not None and max_version[0] >= 1:
            managed, name = self._export("dlpack_versioned", ManagedVersioned), _VERSIONED
        else:
            managed, name = self._export("dlpack", Managed), _LEGACY
        # Not a destructor in Python: no code of Python's can run while an exception is on its way.
        return _capsule_new(cast(managed, c_void_p), name, self.lease.engine.library.capsule_gone)

    def _interface(self, device):
        name = DTYPES[self.dtype][2]
        if self._device[0] != device or name is None:
            raise AttributeError("not of this device, or of no type that the interface has")
        return {"shape": self.shape, "typestr": name, "data": (self._data, False), "version": 3}

    @property
    def __array_interface__(self):
        return self._interface(_CPU)

    @property
    def __cuda_array_interface__(self):
        return self._interface(_CUDA)

    def memoryview(self):
        """The memory itself, where device addresses are pointers of the host."""
        if self._device[0] != _CPU:
            raise BufferError("device memory is no memory of the host")
        _, bits, _, letter = DTYPES[self.dtype]
        elements = 1
        for size in self.shape:
            elements *= size
        array = (ctypes.c_ubyte * (elements * bits // 8)).from_address(self._data)
        array.tensor = self
        view = memoryview(array).cast("B")
        return view if letter is None else view.cast(letter, self.shape)


# A capsule has the address of its name, so the names stay.
_LEGACY, _VERSIONED = b"dltensor", b"dltensor_versioned"
_capsule_new = ctypes.PYFUNCTYPE(py_object, c_void_p, c_char_p, c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi)
)
