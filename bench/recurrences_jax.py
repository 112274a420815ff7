"""Gated linear attention, elementwise recurrences by `jax.lax.scan`: CPU milliseconds, as JSON.

    PYTHON_WITH_JAX bench/recurrences_jax.py 512 2048

JAX has an environment of its own, so there are no pairs: run it between runs of ours.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time

os.environ["XLA_FLAGS"] = (
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"  # one thread
)

import jax
import jax.numpy as jnp
import numpy as np


def gated(q, key, val, a):
    """Axes [t, h, k] and [t, h, v]."""

    def step(state, now):
        q, key, val, a = now
        state = a[..., None] * state + key[..., None] * val[:, None]
        return state, jnp.einsum("hk, hkv -> hv", q, state)

    start = jnp.zeros((q.shape[1], q.shape[2], val.shape[2]))
    return jax.lax.scan(step, start, (q, key, val, a))[1]


def elementwise(a, x):
    """Axes [t, b, d]."""

    def step(state, now):
        state = now[0] * state + now[1]
        return state, state

    return jax.lax.scan(step, jnp.zeros(x.shape[1:]), (a, x))[1]


def measured(function, given):
    """The median of ten, after a first that compiles."""
    times = []
    for _ in range(11):
        start = time.process_time()
        jax.block_until_ready(function(*given))
        times.append(time.process_time() - start)
    return round(1e3 * statistics.median(times[1:]), 2)


def main():
    """Both, for each number of steps."""
    stream = np.random.default_rng(0)
    found = {}
    for steps in map(int, sys.argv[1:]):
        whole = [stream.normal(size=(steps, 4, 64)).astype("float32") for _ in range(3)]
        decay = (1 - 0.05 * stream.random((steps, 4, 64))).astype("float32")
        wide = [stream.random((steps, 4, 512)).astype("float32") for _ in range(2)]
        for name, function, given in (
            ("gla", gated, [*whole, decay]),
            ("elementwise", elementwise, wide),
        ):
            given = [jnp.asarray(x) for x in given]
            total = jax.grad(lambda *x, f=function: f(*x).sum(), argnums=tuple(range(len(given))))
            found[f"{name} T={steps}"] = {
                "forward": measured(jax.jit(function), given),
                "both": measured(jax.jit(total), given),
            }
    print(json.dumps({"jax": jax.__version__, **found}))


if __name__ == "__main__":
    main()
