"""Projections a second by ASPIRE; run by the interpreter of its own environment.

    python aspire_projections.py VOLUME.npy ROTATIONS.npy ROUNDS

Prints JSON. Its projections are images: non-uniform transforms, then inverse ones.
"""

import json
import sys
import time

import numpy as np
from aspire.volume import Volume

BATCH = 500


def main() -> None:
    volume, rotations, rounds = np.load(sys.argv[1]), np.load(sys.argv[2]), int(sys.argv[3])
    its = Volume(volume.astype(np.float32))
    its.project(rotations[:BATCH].astype(np.float32))
    rates = []
    for _ in range(rounds):
        began = time.perf_counter()
        for start in range(0, len(rotations), BATCH):
            its.project(rotations[start : start + BATCH].astype(np.float32))
        rates.append(len(rotations) / (time.perf_counter() - began))
    print(json.dumps({"images": float(np.median(rates))}))


if __name__ == "__main__":
    main()
