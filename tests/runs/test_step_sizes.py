"""Steps that follow their rates in a warm-up and then stay, on disk too."""

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_hypermol.runs.step_sizes import NO_STEPS, StepSizes

FEW, MANY = np.full(5, 0.05), np.full(5, 0.95)


def test_first_size_is_the_given_one_and_only_the_first():
    sizes = NO_STEPS.begun("a", 0.3)
    assert sizes.of("a") == pytest.approx(0.3)
    assert sizes.begun("a", 9.0).of("a") == pytest.approx(0.3)
    assert NO_STEPS.adaptations == {}


def test_refused_steps_shrink_and_accepted_ones_grow():
    sizes = NO_STEPS.begun("a", 0.3).begun("b", 0.3)
    for _ in range(20):
        sizes = sizes.told("a", FEW, 0.5).told("b", MANY, 0.5)
    assert sizes.of("a") < 0.2
    assert sizes.of("b") > 0.5


def test_after_the_warm_up_they_stay():
    sizes = NO_STEPS.begun("a", 0.3)
    for _ in range(20):
        sizes = sizes.told("a", FEW, 0.5)
    frozen = replace(sizes, is_warming_up=False)
    assert frozen.told("a", MANY, 0.5).of("a") == frozen.of("a")


def test_to_disk_and_back():
    sizes = NO_STEPS.begun("a", 0.3).begun("b", 1 / 3)
    for _ in range(3):
        sizes = sizes.told("a", FEW, 0.57)
    again = StepSizes.of_facts(json.loads(json.dumps(sizes.facts())))
    for name in "ab":
        assert again.of(name) == sizes.of(name)
        assert again.told(name, MANY, 0.3).of(name) == sizes.told(name, MANY, 0.3).of(name)
