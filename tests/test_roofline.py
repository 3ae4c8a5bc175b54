"""The counts of `benchmarks/roofline.py` against what the CUDA code does, counted as it runs."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cuda_on_cpu import compiled
from napari_hypermol import backend

_PATH = Path(__file__).resolve().parents[1] / "benchmarks" / "roofline.py"
_SPEC = importlib.util.spec_from_file_location("roofline", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
roofline = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(roofline)

N, FUNCTIONS, PLACEMENTS = 3, 3, 2


@pytest.fixture(scope="module")
def here():
    return roofline.scene(box=16, radius=5, functions=FUNCTIONS, placements=PLACEMENTS, edge=8)


def case_of(here, n=N):
    grids, _, samples = here
    n_q = FUNCTIONS * PLACEMENTS
    return roofline.Case(
        n, len(samples.kx), n_q, PLACEMENTS, len(grids.values), 6, n_q * (n_q + 1) // 2
    )


def test_taps_as_the_device_code_moves_them(here, cupy):
    if not hasattr(cupy, "traffic"):
        pytest.skip("a real device does not tell")
    if compiled.WHY_NOT:
        pytest.skip(compiled.WHY_NOT)
    images = roofline.images_of(N, here[2])
    for call in roofline.calls(images, here, cupy.asarray).values():
        call()
    counts, moved = roofline.counts(case_of(here)), cupy.traffic
    assert moved["overlaps"].read == counts["overlaps"].taps
    assert moved["image_adjoint"].added == counts["image_adjoint"].taps
    assert moved["normal_operator"].added == counts["normal_operator"].taps / 2
    # the normal operator and explained power read moments that way too
    for name in ("normal_operator", "explained_power"):
        assert moved[name].read > counts["overlaps"].taps


def test_calls_on_a_device_are_those_in_main_memory(here, cupy):
    images = roofline.images_of(N, here[2])
    there = roofline.calls(images, here, cupy.asarray)
    for name, call in roofline.calls(images, here, np.asarray).items():
        found, expected = there[name](), call()
        if name == "overlaps":
            found, expected = found[1], expected[1]
        found = backend.as_numpy(found)
        np.testing.assert_allclose(found, expected, atol=1e-5 * abs(expected).max())


def test_memory_of_images_is_counted_once(here):
    more, fewer = (roofline.counts(case_of(here, n)) for n in (N + 1, N))
    k, n_q = len(here[2].kx), FUNCTIONS * PLACEMENTS
    each = {name: more[name].memory - fewer[name].memory for name in more}
    assert each["overlaps"] == 12 * k + 4 * n_q + 4 * n_q**2
    assert each["image_adjoint"] == 8 * k + 4 * n_q
    assert each["normal_operator"] == 4 * k + 4 * n_q**2
    for name in more:
        assert more[name].operations / (N + 1) == pytest.approx(fewer[name].operations / N)


def test_floor_is_the_longer_of_two_times():
    device = roofline.Device("none", None, None, memory=10.0, operations=100.0)
    assert device.floor(roofline.Count(20, 0, 100)) == 2
    assert device.floor(roofline.Count(20, 0, 500)) == 5


@pytest.mark.slow
def test_it_prints_a_table():
    command = [sys.executable, str(_PATH), "--n", "5", "--box", "16", "--radius", "5"]
    answer = subprocess.run([*command, "--rounds", "1"], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("| ")] == [
        "function", *roofline.FUNCTIONS
    ]  # fmt: skip
