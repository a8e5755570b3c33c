"""The functions and structures of ace_cuda.h, and the errors that they raise."""

import ctypes
import ctypes.util
import enum
import os
import pathlib
import weakref
from ctypes import POINTER, byref, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint8, c_uint32
from ctypes import c_uint64, c_void_p

KINDS = {"opaque": 0, "weights": 1, "lora": 2, "kv": 3}
"""Kinds of states. Numbers from 1024 on are yours."""

SOURCES = {"hint": 0, "plan": 1, "graph": 2, "space": 3}
"""Who says when an agent is used next. How far each is believed is measured."""

CONTENTS_NONE, CONTENTS_ZERO, CONTENTS_COPIED, CONTENTS_BORROWED = range(4)
HOST_POINTERS = 1


class Status(enum.IntEnum):
    """What became of a call. See ace_cuda.h."""

    OK = 0
    BAD_ARGUMENT = 1
    UNKNOWN_HANDLE = 2
    UNKNOWN_AGENT = 3
    NO_DRIVER = 4
    NO_DEVICE = 5
    TOO_LARGE = 6
    NO_ROOM = 7
    OUT_OF_MEMORY = 8
    OUT_OF_HOST_MEMORY = 9
    DEVICE_FAILED = 10
    DEVICE_LOST = 11
    POISONED = 12
    IN_USE = 13
    NOT_IN_USE = 14
    NOT_PINNED = 15
    PAST = 16
    ON_DEVICE = 17
    UNREGISTERED = 18
    TIMED_OUT = 19
    ENGINE_FAILED = 20


class Place(enum.IntEnum):
    """Where a state is."""

    ABSENT = 0
    LOADING = 1
    RESIDENT = 2
    IN_USE = 3
    EVICTING = 4
    HOST_ONLY = 5
    POISONED = 6


class Error(Exception):
    """The library did not do what it was asked: `status` says of what sort, the text why."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Settings(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("driver", c_char_p),
        ("policy", c_char_p),
        ("budget_bytes", c_uint64),
        ("pinned_bytes", c_uint64),
        ("chunk_bytes", c_uint64),
        ("device", c_uint32),
        ("flags", c_uint32),
    ]


class StateInfo(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("id", c_uint64),
        ("owners", POINTER(c_uint64)),
        ("owner_count", c_size_t),
        ("bytes", c_uint64),
        ("host", c_void_p),
        ("reload_ns", c_uint64),
        ("recompute_ns", c_uint64),
        ("kind", c_uint32),
        ("contents", c_uint32),
    ]


def _numbers(names):
    return [("size", c_size_t)] + [(name, c_uint64) for name in names.split()]


class Stats(ctypes.Structure):
    _fields_ = _numbers(
        "hits misses demand_bytes prefetch_bytes wasted_bytes written_bytes evictions states waiting"
        " leases limit_bytes claimed_bytes mapped_bytes pooled_bytes stranded_bytes pinned_bytes"
        " pin_refusals inward_bytes outward_bytes inward_bytes_per_second outward_bytes_per_second"
        " direct_copies staged_copies pageable_copies failures is_lost"
    )


class HeapStats(ctypes.Structure):
    _fields_ = _numbers(
        "blocks live_bytes peak_live_bytes mapped_bytes peak_mapped_bytes limit_bytes reserved_bytes"
    )


class DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", c_void_p),
        ("device_type", c_int32),
        ("device_id", c_int32),
        ("ndim", c_int32),
        ("code", c_uint8),
        ("bits", c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", POINTER(c_int64)),
        ("strides", POINTER(c_int64)),
        ("byte_offset", c_uint64),
    ]


class Managed(ctypes.Structure):
    """DLManagedTensor."""


class ManagedVersioned(ctypes.Structure):
    """DLManagedTensorVersioned."""


Managed._fields_ = [
    ("dl_tensor", DLTensor),
    ("manager_ctx", c_void_p),
    ("deleter", ctypes.CFUNCTYPE(None, POINTER(Managed))),
]
ManagedVersioned._fields_ = [
    ("major", c_uint32),
    ("minor", c_uint32),
    ("manager_ctx", c_void_p),
    ("deleter", ctypes.CFUNCTYPE(None, POINTER(ManagedVersioned))),
    ("flags", c_uint64),
    ("dl_tensor", DLTensor),
]

_TENSOR_ARGUMENTS = [c_uint64, c_uint64, c_uint64, c_uint8, c_uint8, POINTER(c_int64), c_int32]
_FUNCTIONS = {
    "open": [POINTER(Settings), POINTER(c_uint64)],
    "close": [c_uint64],
    "register": [c_uint64, POINTER(StateInfo), POINTER(c_uint64)],
    "unregister": [c_uint64, c_uint64],
    "share": [c_uint64, c_uint64, c_uint64],
    "unshare": [c_uint64, c_uint64, c_uint64],
    "place": [c_uint64, c_uint64, POINTER(c_int32)],
    "write_host": [c_uint64, c_uint64, c_uint64, c_void_p, c_size_t],
    "read_host": [c_uint64, c_uint64, c_uint64, c_void_p, c_size_t],
    "step": [c_uint64, c_uint64],
    "expect_many": [c_uint64, c_uint32, POINTER(c_uint64), POINTER(c_double), c_size_t],
    "pin": [c_uint64, c_uint64],
    "unpin": [c_uint64, c_uint64],
    "retain": [c_uint64, c_uint64, c_uint64],
    "prefetch": [c_uint64, c_uint64],
    "cancel": [c_uint64, c_uint64],
    "demote": [c_uint64, c_uint64],
    "set_budget": [c_uint64, c_uint64],
    "acquire": [c_uint64, c_uint64, POINTER(c_uint64), c_size_t, c_int64, POINTER(c_uint64)],
    "address": [c_uint64, c_uint64, POINTER(c_uint64)],
    "is_fresh": [c_uint64, c_uint64, POINTER(c_uint32)],
    "wrote": [c_uint64, c_uint64, c_uint64, c_uint64],
    "copy_in": [c_uint64, c_uint64, c_uint64, c_void_p, c_size_t],
    "copy_out": [c_uint64, c_uint64, c_uint64, c_void_p, c_size_t],
    "end": [c_uint64],
    "end_after": [c_uint64, c_void_p],
    "dlpack": _TENSOR_ARGUMENTS + [POINTER(POINTER(Managed))],
    "dlpack_versioned": _TENSOR_ARGUMENTS + [POINTER(POINTER(ManagedVersioned))],
    "stats": [c_uint64, POINTER(Stats)],
    "heap_open": [c_char_p, c_uint32, c_uint64, POINTER(c_uint64)],
    "heap_close": [c_uint64],
    "heap_alloc": [c_uint64, c_uint64, c_uint64, POINTER(c_uint64)],
    "heap_free": [c_uint64, c_uint64],
    "heap_size": [c_uint64, c_uint64, POINTER(c_uint64)],
    "heap_trim": [c_uint64, c_uint64],
    "heap_stats": [c_uint64, POINTER(HeapStats)],
}


class Library:
    """The library, each function of which raises what it does not return."""

    _loaded = {}

    @classmethod
    def find(cls, path):
        beside = pathlib.Path(__file__).resolve().parents[3] / "target/release/libace_cuda.so"
        path = path or os.environ.get("ACE_CUDA_CAPI") or ctypes.util.find_library("ace_cuda")
        path = str(path or (beside if beside.exists() else "libace_cuda.so"))
        if path not in cls._loaded:
            cls._loaded[path] = cls(path)
        return cls._loaded[path]

    def __init__(self, path):
        try:
            library = ctypes.CDLL(path)
        except OSError as error:
            raise ImportError(
                f"{error}; build it with `cargo build --release -p ace-alloc-cuda-capi`, and say where it"
                " is with `library=` or ACE_CUDA_CAPI"
            ) from None
        self._last_error = library.ace_cuda_last_error
        self._last_error.argtypes, self._last_error.restype = [], c_char_p
        self.capsule_gone = ctypes.cast(library.ace_cuda_capsule_gone, c_void_p)
        for name, arguments in _FUNCTIONS.items():
            function = getattr(library, "ace_cuda_" + name)
            function.argtypes, function.restype = arguments, c_int32
            setattr(self, name, self._checked(function))

    def _checked(self, function):
        def call(*arguments):
            status = function(*arguments)
            if status:
                raise Error(Status(status), self._last_error().decode(errors="replace"))

        return call


def path(driver):
    return None if driver is None else os.fsencode(driver)


def writable(data):
    """The bytes of a contiguous buffer: where, how many, and what keeps them there."""
    view = memoryview(data).cast("B")
    array = (ctypes.c_ubyte * view.nbytes).from_buffer(view)
    return ctypes.addressof(array), view.nbytes, array


def readable(data):
    """As writable; what may not be written to is copied."""
    view = memoryview(data).cast("B")
    return writable(bytearray(view) if view.readonly else view)


def quietly(call, *arguments):
    """For what is left behind: who would hear an error?"""
    try:
        call(*arguments)
    except Error:
        pass
