"""Central slices a second by RECOVAR; run by the interpreter of its own environment.

    python recovar_slices.py VOLUME.npy ROTATIONS.npy ROUNDS

Prints JSON: rates of trilinear slices of the half space, which is its fastest way, and of cubic
ones, by batches that stay in memory; compiled before the clock starts.
"""

import json
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from recovar.core import slicing

BATCH = 250


def rate(volume: jax.Array, rotations: np.ndarray, box: int, kind: str) -> float:
    def once() -> None:
        for start in range(0, len(rotations), BATCH):
            part = jnp.asarray(rotations[start : start + BATCH])
            slices(volume, part).block_until_ready()

    shape = (box, box, box)
    slices = jax.jit(
        lambda v, r: slicing.slice_volume(
            v, r, shape[:2], shape, kind, half_volume=kind != "cubic", half_image=True
        )
    )
    once()
    began = time.perf_counter()
    once()
    return len(rotations) / (time.perf_counter() - began)


def main() -> None:
    volume, rotations, rounds = np.load(sys.argv[1]), np.load(sys.argv[2]), int(sys.argv[3])
    box = len(volume)
    whole = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(volume))).astype(np.complex64)
    half = np.fft.fftshift(np.fft.rfftn(np.fft.ifftshift(volume)), axes=(0, 1))
    volumes = {"linear_interp": half.astype(np.complex64), "cubic": whole}
    found = {
        kind: [rate(jnp.asarray(v.ravel()), rotations, box, kind) for _ in range(rounds)]
        for kind, v in volumes.items()
    }
    print(json.dumps({kind: float(np.median(rates)) for kind, rates in found.items()}))


if __name__ == "__main__":
    main()
