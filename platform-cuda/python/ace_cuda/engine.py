"""Engines and their states."""

import ctypes
import weakref
from ctypes import byref, c_double, c_int32, c_uint64

from .abi import CONTENTS_BORROWED, CONTENTS_COPIED, CONTENTS_NONE, CONTENTS_ZERO, HOST_POINTERS, KINDS
from .abi import SOURCES, Library, Place, Settings, StateInfo, Stats, path, quietly, readable, writable
from .use import Lease


class Engine:
    """Keeps the right states on a device. Closed by `close`, at the end of a `with`, or when it is garbage."""

    def __init__(
        self,
        budget_bytes=0,
        *,
        driver=None,
        device=0,
        policy=None,
        pinned_bytes=0,
        chunk_bytes=0,
        host_pointers=False,
        library=None,
    ):
        """Zeros are the defaults that ace_cuda.h names. `host_pointers`: the driver is the fake, whose device
        addresses are pointers of the host; nothing checks it."""
        settings = Settings(ctypes.sizeof(Settings), path(driver), policy and policy.encode())
        settings.budget_bytes, settings.pinned_bytes = budget_bytes, pinned_bytes
        settings.chunk_bytes, settings.device = chunk_bytes, device
        settings.flags = HOST_POINTERS if host_pointers else 0
        number = c_uint64()
        self.library = Library.find(library)
        self.library.open(byref(settings), byref(number))
        self.number, self.device, self.has_host_pointers = number.value, device, host_pointers
        self._finalizer = weakref.finalize(self, quietly, self.library.close, self.number)

    def register(
        self, data=None, *, size=None, owners=(), kind="opaque", id=0, zero=False, borrow=False,
        reload_ns=0, recompute_ns=0,
    ):  # fmt: skip
        """Takes a state into care. Either `data`, a contiguous buffer: copied, or with `borrow` the state's
        host copy itself, which is left alone until the state was unregistered. Or `size` in bytes: of zeros
        with `zero`, otherwise of what the first user computes. With `recompute_ns` below the cost of a copy,
        contents may be given up; Lease.is_fresh tells."""
        if (data is None) == (size is None) or data is None and borrow:
            raise ValueError("a state has either data or a size, and only data can be borrowed")
        owners = list(owners)
        info = StateInfo(ctypes.sizeof(StateInfo), id, (c_uint64 * len(owners))(*owners))
        info.owner_count, info.kind = len(owners), KINDS.get(kind, kind)
        info.reload_ns, info.recompute_ns, kept = reload_ns, recompute_ns, None
        if data is None:
            info.bytes, info.contents = size, CONTENTS_ZERO if zero else CONTENTS_NONE
        else:
            info.host, info.bytes, kept = writable(data) if borrow else readable(data)
            info.contents = CONTENTS_BORROWED if borrow else CONTENTS_COPIED
        number = c_uint64()
        self.library.register(self.number, byref(info), byref(number))
        return State(self, number.value, info.bytes, kept if borrow else None)

    def step(self, step):
        """A step begins."""
        self.library.step(self.number, step)

    def expect(self, agents, steps, source="hint"):
        """An agent, or each of several, is used next so many steps after the present one; infinity takes a
        prediction back."""
        agents = list(agents) if hasattr(agents, "__iter__") else [agents]
        steps = list(steps) if hasattr(steps, "__iter__") else [steps] * len(agents)
        if len(agents) != len(steps):
            raise ValueError("a distance for each agent")
        count = len(agents)
        names, distances = (c_uint64 * count)(*agents), (c_double * count)(*steps)
        source = SOURCES.get(source, source)
        self.library.expect_many(self.number, source, names, distances, count)

    def acquire(self, agent, states, timeout=None):
        """Waits until an agent can use states together; `timeout` in seconds: 0 does not wait, None has no
        end. Use it in a `with`."""
        states = [states] if isinstance(states, State) else list(states)
        numbers, lease = (c_uint64 * len(states))(*[state.number for state in states]), c_uint64()
        wait = -1 if timeout is None else round(max(timeout, 0) * 1000) or int(timeout > 0)
        library = self.library
        library.acquire(self.number, agent, numbers, len(states), wait, byref(lease))
        return Lease(self, lease.value)

    def set_budget(self, bytes):
        """Another budget of device memory."""
        self.library.set_budget(self.number, bytes)

    def stats(self):
        """What was done so far, by the names of AceCudaStats."""
        stats = Stats(ctypes.sizeof(Stats))
        self.library.stats(self.number, byref(stats))
        return {name: getattr(stats, name) for name, _ in Stats._fields_[1:]}

    def close(self):
        """Stops the engine and gives its memory back. IN_USE while leases or tensors are held."""
        self.library.close(self.number)
        self._finalizer.detach()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        # Of two errors the first tells more.
        self.close() if kind is None else quietly(self.close)


class State:
    """A state of an engine: `number`, `size` in bytes."""

    def __init__(self, engine, number, size, borrowed):
        self.engine, self.number, self.size, self._borrowed = engine, number, size, borrowed

    def _call(self, name, *arguments):
        getattr(self.engine.library, name)(self.engine.number, self.number, *arguments)

    def unregister(self):
        """Forgets the state and leaves its memory alone."""
        self._call("unregister")
        self._borrowed = None

    def share(self, agent):
        """One more agent uses it."""
        self._call("share", agent)

    def unshare(self, agent):
        """An agent uses it no more."""
        self._call("unshare", agent)

    def pin(self):
        """Keep it on the device until as many `unpin`."""
        self._call("pin")

    def unpin(self):
        """Takes one pin back."""
        self._call("unpin")

    def retain(self, until_step):
        """Keep it on the device until a step begins."""
        self._call("retain", until_step)

    def prefetch(self):
        """Fetch it when nobody waits for anything else."""
        self._call("prefetch")

    def cancel(self):
        """Stop fetching it."""
        self._call("cancel")

    def demote(self):
        """Evict it before all others when memory is needed."""
        self._call("demote")

    @property
    def place(self):
        """Where it is now."""
        place = c_int32()
        self._call("place", byref(place))
        return Place(place.value)

    def write_host(self, data, offset=0):
        """Writes to the host copy, if the state is HOST_ONLY."""
        start, size, _kept = readable(data)
        self._call("write_host", offset, start, size)

    def read_host(self, size=None, offset=0):
        """Reads the host copy, if it is the newest; otherwise see Lease.copy_out."""
        into = bytearray(self.size - offset if size is None else size)
        start, size, _kept = writable(into)
        self._call("read_host", offset, start, size)
        return into
