"""Small blocks of device memory."""

import ctypes
import weakref
from ctypes import byref, c_uint64

from .abi import HeapStats, Library, path, quietly


class Heap:
    """Blocks of a device's memory, beside engines: at most `limit_bytes` together. Addresses are numbers, as
    of a CUdeviceptr."""

    def __init__(self, limit_bytes, *, driver=None, device=0, library=None):
        number = c_uint64()
        self.library = Library.find(library)
        self.library.heap_open(path(driver), device, limit_bytes, byref(number))
        self.number = number.value
        self._finalizer = weakref.finalize(self, quietly, self.library.heap_close, self.number)

    def alloc(self, size, align=0):
        """The address of a new block; what is in it is arbitrary."""
        address = c_uint64()
        self.library.heap_alloc(self.number, size, align, byref(address))
        return address.value

    def free(self, address):
        """Gives a block back. All work of the device that uses it has ended."""
        self.library.heap_free(self.number, address)

    def size_of(self, address):
        """Bytes of a block: those that were asked for, or a few more."""
        size = c_uint64()
        self.library.heap_size(self.number, address, byref(size))
        return size.value

    def trim(self, keep_bytes=0):
        """Gives free memory back to the device, all but so much."""
        self.library.heap_trim(self.number, keep_bytes)

    def stats(self):
        """What it holds, by the names of AceCudaHeapStats."""
        stats = HeapStats(ctypes.sizeof(HeapStats))
        self.library.heap_stats(self.number, byref(stats))
        return {name: getattr(stats, name) for name, _ in HeapStats._fields_[1:]}

    def close(self):
        """Gives its memory back. IN_USE while there are blocks."""
        self.library.heap_close(self.number)
        self._finalizer.detach()
