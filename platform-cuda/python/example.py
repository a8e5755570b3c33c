#!/usr/bin/env python3
"""Twelve agents share a device that has memory for four of their states.

Each step, one agent reads what it left behind, checks it, and writes anew. The program does it twice: telling
the engine nothing, and telling it the plan of who comes when. Run it on a real driver, or without a GPU on the
fake one:

    cargo build --release -p ace-alloc-cuda-capi -p ace-alloc-cuda-fake
    python3 platform-cuda/python/example.py
    python3 platform-cuda/python/example.py --fake target/release/libace_fake_cuda.so

With NumPy and the fake, states are worked on in place, as PyTorch does it on a GPU; otherwise they are copied
out and in. Nothing but Python is needed.
"""

import argparse
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import ace_cuda  # noqa: E402

try:
    import numpy
except ImportError:
    numpy = None

AGENTS, PLACES, STEPS, STATE_BYTES, SEED = 12, 4, 120, 2 << 20, 7
LOOK_AHEAD = 8


def plan():
    """Who comes when: rounds of all agents, each in another order."""
    chance, steps = random.Random(SEED), []
    while len(steps) < STEPS:
        steps += chance.sample(range(AGENTS), AGENTS)
    return steps[:STEPS]


def left_by(agent, visits):
    """What an agent leaves in each byte of its state."""
    return (agent * 20 + visits) % 256


def work(lease, state, before, after, in_place):
    """Checks that all bytes are `before` and makes them `after`; gives the number of wrong ones."""
    if in_place:
        # Tells nobody of a stream: it is the host that works here.
        view = numpy.asarray(lease.tensor(state))
        wrong = int((view != before).sum())
        view[:] = after
        lease.wrote(state)
        return wrong
    found = lease.copy_out(state)
    lease.copy_in(state, bytes([after]) * state.size)
    return state.size - found.count(before)


def run(policy, tells, options):
    """One run; gives a row of the table."""
    fake = options.fake is not None
    settings = {"driver": options.fake or options.driver, "device": options.device, "library": options.library}
    order, wrong, visits = plan(), 0, [0] * AGENTS
    with ace_cuda.Engine(PLACES * STATE_BYTES, policy=policy, host_pointers=fake, **settings) as engine:
        contents = [bytes([left_by(agent, 0)]) * STATE_BYTES for agent in range(AGENTS)]
        states = [engine.register(contents[agent], owners=[agent], kind="kv") for agent in range(AGENTS)]
        for step, agent in enumerate(order):
            engine.step(step)
            if tells:
                known = {}
                for distance, other in enumerate(order[step : step + LOOK_AHEAD]):
                    known.setdefault(other, distance)
                engine.expect(range(AGENTS), [known.get(one, LOOK_AHEAD) for one in range(AGENTS)], "plan")
            with engine.acquire(agent, states[agent]) as lease:
                before, after = left_by(agent, visits[agent]), left_by(agent, visits[agent] + 1)
                wrong += work(lease, states[agent], before, after, fake and numpy is not None)
            visits[agent] += 1
        stats = engine.stats()
    mib = [stats[name] / (1 << 20) for name in ("demand_bytes", "prefetch_bytes", "written_bytes")]
    return [policy, "the plan" if tells else "nothing", stats["hits"], stats["misses"], *mib, wrong]


def main():
    about = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    about.add_argument("--driver", help="the driver's library (default: the machine's)")
    about.add_argument("--fake", metavar="PATH", help="libace_fake_cuda.so, a driver without a GPU")
    about.add_argument("--device", type=int, default=0, help="the device, from 0")
    about.add_argument("--library", help="libace_cuda.so (default: ACE_CUDA_CAPI, or found by itself)")
    options = about.parse_args()
    try:
        rows = [run("lru", False, options), run("ace", True, options)]
    except (ace_cuda.Error, ImportError) as error:
        sys.exit(f"example.py: {error}")
    print(f"{AGENTS} agents, memory for {PLACES}, {STEPS} steps, states of {STATE_BYTES >> 20} MiB")
    print(f"{'policy':8} {'is told':10} {'hits':>5} {'misses':>7} {'MiB waited for':>15} {'fetched ahead':>14}"
          f" {'written back':>13} {'wrong bytes':>12}")  # fmt: skip
    for policy, told, hits, misses, waited, ahead, back, wrong in rows:
        print(f"{policy:8} {told:10} {hits:5} {misses:7} {waited:15.0f} {ahead:14.0f} {back:13.0f} {wrong:12}")
    sys.exit(any(row[-1] for row in rows))


if __name__ == "__main__":
    main()
