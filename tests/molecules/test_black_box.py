import re

import numpy as np
import pytest

from black_boxes import Dot
from contracts.black_box import BlackBoxContract
from napari_hypermol.errors import BlackBoxError
from napari_hypermol.molecules.black_box import check_black_box

THETA = np.array([2.0, -1.0, 0.5, 3.0, 1.0, -2.0])


class TestDot(BlackBoxContract):
    @pytest.fixture
    def molecule(self):
        return Dot()

    @pytest.fixture
    def theta(self):
        return THETA


class TestStillDot(BlackBoxContract):
    @pytest.fixture
    def molecule(self):
        return Dot(dims=0)

    @pytest.fixture
    def theta(self):
        return THETA[:3]


def changed(**members):
    """A dot with members replaced."""
    dot = Dot()
    for name, member in members.items():
        setattr(dot, name, member)
    return dot


def without(name):
    class Lacking:
        pass

    for member in ("box_size", "dims", "n_coefficients", "slices", "slices_adjoint", "log_prior"):
        if member != name:
            setattr(Lacking, member, getattr(Dot(), member))
    return Lacking()


@pytest.mark.parametrize(
    "name", ["box_size", "dims", "n_coefficients", "slices", "slices_adjoint", "log_prior"]
)
def test_missing_member_is_named(name, rng):
    with pytest.raises(BlackBoxError, match=f"Lacking has no {name}, expected"):
        check_black_box(without(name), THETA, rng)


def scaled_adjoint(factor):
    def slices_adjoint(*arguments):
        return factor * Dot().slices_adjoint(*arguments)

    return slices_adjoint


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"dims": -1}, "dims is -1, expected a whole number from 0 on"),
        ({"box_size": 16.5}, "box_size is 16.5, expected a whole number"),
        ({"n_coefficients": 5}, "theta is float64 of shape (6,), expected numbers of shape (5,)"),
        ({"slices": lambda *a: None}, "slices returned NoneType, expected complex numbers"),
        ({"slices": lambda *a: Dot().slices(*a).real}, "slices returned float64 of shape"),
        ({"slices": lambda *a: Dot().slices(*a)[:, :-1]}, "slices returned complex128 of shape"),
        ({"slices": lambda *a: np.nan * Dot().slices(*a)}, "slices is not finite everywhere"),
        ({"slices_adjoint": lambda *a: np.zeros(5)}, "slices_adjoint returned float64 of shape"),
        ({"slices_adjoint": scaled_adjoint(2)}, "slices_adjoint is not the gradient of slices"),
        ({"slices_adjoint": scaled_adjoint(-1)}, "slices_adjoint is not the gradient of slices"),
        ({"slices_adjoint": scaled_adjoint(0)}, "slices_adjoint is not the gradient of slices"),
        ({"log_prior": lambda t: 0.0}, "log_prior returned float, expected a number and its"),
        ({"log_prior": lambda t: (np.zeros(2), t)}, "log_prior's value returned float64"),
        ({"log_prior": lambda t: (0.0, t[:2])}, "log_prior's gradient returned float64"),
        ({"log_prior": lambda t: (-np.inf, t)}, "log_prior's value is not finite"),
        ({"log_prior": lambda t: (-t @ t, -t)}, "log_prior's gradient is not that of its value"),
    ],
)
def test_one_sentence_for_each_fault(members, sentence, rng):
    with pytest.raises(BlackBoxError, match=re.escape(sentence)) as error:
        check_black_box(changed(**members), THETA, rng)
    assert "\n" not in str(error.value)


def test_a_saddle_is_no_fault(rng):
    """Coefficients of zero, and a prior that is flat."""
    check_black_box(changed(log_prior=lambda t: (0.0, 0 * t)), 0 * THETA, rng)
