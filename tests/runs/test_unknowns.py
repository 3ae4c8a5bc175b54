import warnings

import numpy as np
import pytest

from examples import one_ball, pretzel_like
from napari_hypermol.runs.unknowns import (
    few_particles_sentences,
    unknowns,
    unknowns_sentences,
    warn_of_few_particles,
)


def test_counts_are_those_of_the_discretised_molecule():
    composite = pretzel_like(16, degree=2)
    found = unknowns(composite, 6, 1234)
    molecule = composite.discretise(6)
    assert found["coefficients"] == molecule.n_coefficients
    assert found["particles"] == 1234
    body, arm = found["components"]
    assert (body["space"], body["state"], body["copies"]) == (molecule.set_shapes[0][1], 1, 1)
    assert (arm["component"], arm["state"], arm["copies"]) == ("arm", 3, 2)


def test_shannon_number_of_a_ball():
    found = unknowns(one_ball(32), 10, 100)
    c = 2 * np.pi * (0.3 * 32 + 0.5) * 10 / 32  # the middle of a soft edge of 1
    (ball,) = found["components"]
    np.testing.assert_allclose(ball["shannon_number"], 2 * c**3 / (9 * np.pi))


def test_in_words():
    lines = unknowns_sentences(unknowns(pretzel_like(16), 6, 4000))
    assert lines[0].endswith("coefficients from 4,000 particles")
    assert lines[1].startswith("body: ")
    assert "x 1 of the state" in lines[1]
    assert lines[2].endswith("x 3 of the state, 2 copies")


def test_too_few_particles_are_warned_of_with_numbers():
    found = unknowns(one_ball(16, degree=9), 5, 600)
    with pytest.warns(UserWarning, match="10 maps from 600 particles, 60 for each.*degree of 5"):
        warn_of_few_particles(found)


def test_copies_are_seen_as_often(recwarn):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_few_particles(unknowns(pretzel_like(16, degree=2), 5, 160))
        warn_of_few_particles(unknowns(one_ball(16, degree=2), 5, 300))


def test_enough_particles_need_no_words():
    assert few_particles_sentences(unknowns(one_ball(16, degree=2), 5, 300)) == []
    (line,) = few_particles_sentences(unknowns(one_ball(16, degree=2), 5, 299))
    assert "3 maps from 299 particles" in line
