"""Promises of the Python module, on the fake of the driver: `promises.py MODULES LIBRARY FAKE`."""

import gc
import math
import struct
import sys
import threading
import time
import unittest

sys.path.insert(0, sys.argv[1])
import ace_cuda  # noqa: E402
from ace_cuda import Error, Place, Status  # noqa: E402

LIBRARY, FAKE = sys.argv[2], sys.argv[3]
MIB = 1 << 20

try:
    import numpy
except ImportError:
    numpy = None


def opened(budget=8 * MIB, **settings):
    fake = {"driver": FAKE, "library": LIBRARY, "host_pointers": True}
    return ace_cuda.Engine(budget, **{**fake, **settings})


class Promises(unittest.TestCase):
    def fails(self, status, call, *arguments, **named):
        with self.assertRaises(Error) as caught:
            call(*arguments, **named)
        self.assertEqual(caught.exception.status, status)
        self.assertTrue(str(caught.exception))
        return str(caught.exception)

    def arrives(self, state, place):
        for _ in range(60_000):
            if state.place == place:
                return
            time.sleep(0.001)
        self.fail(f"the state is {state.place!r} for good")

    def test_contents_survive_eviction_in_place_and_by_copies(self):
        with opened(2 * MIB) as engine:
            states = [engine.register(struct.pack("4f", n, 2, 3, 4), owners=[1]) for n in range(4)]
            addresses = []
            for state in states:
                with engine.acquire(1, state) as lease:
                    addresses.append(lease.address(state))
                    view = lease.tensor(state, "float32").memoryview()
                    self.assertEqual(view[0], len(addresses) - 1)
                    view[1] = 20
                    lease.wrote(state, 4, 4)
                    lease.copy_in(state, struct.pack("f", 30), 8)
                    del view
            for number, state in enumerate(states):
                with engine.acquire(1, [state], timeout=600) as lease:
                    self.assertEqual(lease.address(state), addresses[number])
                    self.assertEqual(struct.unpack("4f", lease.copy_out(state)), (number, 20, 30, 4))
                    self.assertFalse(lease.is_fresh(state))
            self.arrives(states[0], Place.HOST_ONLY)
            states[0].write_host(b"host", 4)
            self.assertEqual(states[0].read_host(5, 3), b"\0host")
            self.assertGreaterEqual(engine.stats()["evictions"], 4)

    def test_states_may_be_fresh_zero_or_borrowed(self):
        with opened() as engine:
            mine = bytearray(b"a" * 1000)
            fresh = engine.register(size=1000, owners=[1, 2], kind="kv")
            zero = engine.register(size=1000, owners=[1, 2], zero=True, kind=1024 + 7)
            borrowed = engine.register(mine, owners=[1, 2], borrow=True, id=5)
            with engine.acquire(2, [fresh, zero, borrowed]) as lease:
                self.assertTrue(lease.is_fresh(fresh))
                self.assertEqual(lease.copy_out(zero, 10), bytes(10))
                lease.copy_in(borrowed, b"b" * 1000)
            borrowed.demote()
            engine.set_budget(4 * MIB)
            with engine.acquire(1, [fresh, zero]):
                self.arrives(borrowed, Place.HOST_ONLY)
            self.assertEqual(mine, b"b" * 1000)
            borrowed.unregister()
            mine.extend(b"it may be resized again")
            self.fails(Status.UNKNOWN_HANDLE, borrowed.unregister)
            for wrong in {}, {"data": b"", "size": 1}, {"size": 1, "borrow": True}:
                self.assertRaises(ValueError, engine.register, **wrong)

    def test_errors_are_exceptions_with_a_sentence(self):
        self.assertIn("install", self.fails(Status.NO_DRIVER, opened, driver="libcuda-of-nobody.so"))
        self.assertIn("lru", self.fails(Status.BAD_ARGUMENT, opened, policy="clairvoyance"))
        self.fails(Status.NO_DEVICE, opened, device=3)
        with self.assertRaisesRegex(ImportError, "cargo build"):
            opened(library="/nowhere/libace_cuda.so")
        engine = opened(2 * MIB)
        self.fails(Status.BAD_ARGUMENT, engine.register, size=0, owners=[1])
        self.fails(Status.TOO_LARGE, engine.register, size=1 << 31, owners=[1])
        state, other = (engine.register(b"x" * 64, owners=[1]) for _ in range(2))
        for steps in math.nan, -1, -math.inf:
            self.fails(Status.BAD_ARGUMENT, engine.expect, 1, steps)
        self.fails(Status.UNKNOWN_AGENT, engine.expect, [1, 9], [1, 2], "plan")
        self.assertRaises(ValueError, engine.expect, [1], [1, 2])
        engine.expect(1, math.inf)
        engine.step(3)
        self.fails(Status.PAST, engine.step, 2)
        with engine.acquire(1, state) as lease:
            self.fails(Status.TIMED_OUT, engine.acquire, 1, other, timeout=0)
            self.fails(Status.TIMED_OUT, engine.acquire, 1, other, timeout=0.01)
            self.fails(Status.NOT_IN_USE, lease.address, other)
            self.fails(Status.IN_USE, engine.close)
            self.fails(Status.IN_USE, state.unregister)
        self.fails(Status.UNKNOWN_HANDLE, lease.end)
        self.fails(Status.NOT_PINNED, state.unpin)
        engine.close()
        self.fails(Status.UNKNOWN_HANDLE, engine.close)
        self.fails(Status.UNKNOWN_HANDLE, state.pin)

    def test_wishes_are_taken(self):
        with opened(2 * MIB) as engine:
            state, other = (engine.register(size=MIB, owners=[1], zero=True) for _ in range(2))
            state.prefetch()
            state.cancel()
            state.share(2)
            engine.expect([1, 2], [2, 1.5], "space")
            state.unshare(2)
            engine.acquire(1, state, timeout=600).end()
            state.pin()
            self.fails(Status.NO_ROOM, other.pin)
            self.fails(Status.TIMED_OUT, engine.acquire, 1, other, timeout=0.01)
            self.assertEqual(state.place, Place.RESIDENT)
            state.unpin()
            state.retain(9)
            self.fails(Status.TIMED_OUT, engine.acquire, 1, other, timeout=0.01)
            engine.step(9)
            engine.acquire(1, other, timeout=600).end()
            state.demote()
            engine.set_budget(4 * MIB)
            self.assertEqual(engine.stats()["limit_bytes"], 4 * MIB)

    def test_a_state_stays_while_anything_made_of_its_tensor_lives(self):
        with opened(2 * MIB) as engine:
            state, other = (engine.register(b"x" * 64, owners=[1]) for _ in range(2))
            lease = engine.acquire(1, state)
            tensor = lease.tensor(state, "uint16", (4, 8))
            view = tensor.memoryview()
            capsule = lease.tensor(state).__dlpack__()
            newer = lease.tensor(state).__dlpack__(max_version=(1, 0))
            lease.end()
            del tensor, lease
            gc.collect()
            for left in "view", "capsule", "newer":
                self.fails(Status.IN_USE, engine.close)
                self.fails(Status.TIMED_OUT, engine.acquire, 1, other, timeout=0)
                if left == "view":
                    self.assertEqual((view.shape, view[3, 7]), ((4, 8), 0x7878))
                    del view
                elif left == "capsule":
                    self.assertIn("dltensor", repr(capsule))
                    del capsule
                else:
                    del newer
                gc.collect()
            engine.acquire(1, other, timeout=600).end()

    def test_tensors_fit_and_say_where_they_are(self):
        with opened() as engine:
            state = engine.register(b"\1\2\3\4" * 16, owners=[1])
            with engine.acquire(1, state) as lease:
                self.assertEqual(lease.tensor(state).__dlpack_device__(), (1, 0))
                self.assertEqual(lease.tensor(state, "int32", offset=8).shape, (14,))
                self.assertEqual(lease.tensor(state, "uint8", (2, 2), 1).memoryview().tolist(), [[2, 3], [4, 1]])
                self.fails(Status.BAD_ARGUMENT, lease.tensor, state, "float32", (17,))
                self.fails(Status.BAD_ARGUMENT, lease.tensor, state, "float32", (-1,))
                self.fails(Status.BAD_ARGUMENT, lease.tensor, state, "float32", (2,), 2)
                self.assertRaises(KeyError, lease.tensor, state, "float31")
                self.assertRaises(BufferError, lease.tensor(state).__dlpack__, copy=True)
                self.assertRaises(BufferError, lease.tensor(state).__dlpack__, dl_device=(2, 0))
                self.assertFalse(hasattr(lease.tensor(state), "__cuda_array_interface__"))
                self.assertFalse(hasattr(lease.tensor(state, "bfloat16"), "__array_interface__"))

    def test_on_a_device_a_tensor_is_used_on_one_stream(self):
        with opened(host_pointers=False) as engine:
            state = engine.register(size=MIB, owners=[1], zero=True)
            with engine.acquire(1, state) as lease:
                tensor = lease.tensor(state, "float32", (8, 8))
                self.assertEqual(tensor.__dlpack_device__(), (2, 0))
                interface = tensor.__cuda_array_interface__
                self.assertEqual(interface["data"], (lease.address(state), False))
                self.assertEqual((interface["shape"], interface["typestr"]), ((8, 8), "<f4"))
                self.assertFalse(hasattr(tensor, "__array_interface__"))
                self.assertRaises(BufferError, tensor.memoryview)
                for ambiguous in 0, 2:
                    self.assertRaises(BufferError, tensor.__dlpack__, stream=ambiguous)
                tensor.__dlpack__(stream=-1)
                tensor.__dlpack__(stream=None)
                tensor.__dlpack__(stream=1)
                self.assertRaises(BufferError, tensor.__dlpack__, stream=77)
                self.assertRaises(BufferError, lease.end, 77)
                del tensor

    def test_what_is_left_behind_is_ended(self):
        engine = opened(2 * MIB)
        state, other = (engine.register(b"x" * 64, owners=[1]) for _ in range(2))
        engine.acquire(1, state)
        gc.collect()
        engine.acquire(1, other, timeout=600).end()
        with self.assertRaises(ZeroDivisionError):
            with engine.acquire(1, state):
                raise ZeroDivisionError
        engine.acquire(1, other, timeout=600).end()
        del engine, state, other
        gc.collect()

    def test_threads_share_an_engine(self):
        with opened(4 * MIB) as engine:
            states = [engine.register(bytes(64), owners=[agent]) for agent in range(6)]
            failures = []

            def visit(agent):
                for visits in range(20):
                    with engine.acquire(agent, states[agent]) as lease:
                        if lease.copy_out(states[agent], 1)[0] != visits:
                            failures.append((agent, visits))
                        lease.copy_in(states[agent], bytes([visits + 1]))

            threads = [threading.Thread(target=visit, args=(agent,)) for agent in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(failures, [])

    def test_blocks_of_a_heap(self):
        heap = ace_cuda.Heap(8 * MIB, driver=FAKE, library=LIBRARY)
        blocks = [heap.alloc(1000, align) for align in (0, 256, 4096)]
        self.assertEqual(blocks[2] % 4096, 0)
        self.assertGreaterEqual(heap.size_of(blocks[0]), 1000)
        self.fails(Status.OUT_OF_MEMORY, heap.alloc, 9 * MIB)
        self.fails(Status.IN_USE, heap.close)
        for block in blocks:
            heap.free(block)
        self.fails(Status.UNKNOWN_HANDLE, heap.free, blocks[0])
        heap.trim()
        self.assertEqual(heap.stats()["mapped_bytes"], 0)
        heap.close()

    @unittest.skipIf(numpy is None, "NumPy is not installed")
    def test_numpy_works_in_place(self):
        with opened(2 * MIB) as engine:
            array = numpy.arange(64, dtype="float32").reshape(8, 8)
            state = engine.register(array, owners=[1])
            with engine.acquire(1, state) as lease:
                tensor = lease.tensor(state, "float32", (8, 8))
                for view in numpy.asarray(tensor), numpy.from_dlpack(tensor):
                    self.assertTrue((view == array).all())
                    self.assertEqual(view.ctypes.data, lease.address(state))
                numpy.asarray(tensor)[2, 3] = array[2, 3] = -1
                lease.wrote(state)
                # NumPy has no such type, and gives the capsule up with an exception on its way.
                with self.assertRaisesRegex(RuntimeError, "[Uu]nsupported"):
                    numpy.from_dlpack(lease.tensor(state, "bfloat16"))
                del tensor, view
            with engine.acquire(1, engine.register(bytes(1), owners=[1])):
                self.arrives(state, Place.HOST_ONLY)
            self.assertEqual(state.read_host(), array.tobytes())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
