"""Lines whose distances are read off by hand."""

import numpy as np
import pytest

from napari_hypermol.runs.hinge_scores import hinge_errors

Z = (0.0, 0.0, 1.0)


def test_the_same_line_has_no_error_wherever_its_pivot_slides():
    for pivot in ((1.0, 2.0, 3.0), (1.0, 2.0, -40.0)):
        for axis in (Z, (0.0, 0.0, -5.0)):
            assert hinge_errors(axis, pivot, Z, (1, 2, 3)) == pytest.approx((0, 0), abs=1e-12)


def test_parallel_lines_are_as_far_apart_as_they_are():
    assert hinge_errors(Z, (3, 4, 17), Z, (0, 0, 0)) == pytest.approx((0, 5))


def test_crossing_lines_meet_at_the_pivot():
    angle, distance = hinge_errors((0, 1, 1), (0, 0, 0), Z, (0, 0, 0))
    assert (angle, distance) == pytest.approx((45, 0), abs=1e-12)
    # the same two lines, the pivot slid along the found one: nothing changes
    assert hinge_errors((0, 1, 1), (0, 3, 3), Z, (0, 0, 0)) == pytest.approx((45, 0), abs=1e-12)


def test_the_pivot_counts_where_the_true_one_is():
    """Lines that cross two units above the true pivot are one apart beside it.

    Of the line (0, s, 2 + s) the point nearest to the origin is (0, -1, 1), one from the z axis.
    """
    assert hinge_errors((0, 1, 1), (0, 0, 2), Z, (0, 0, 0)) == pytest.approx((45, 1))
    # and the place along the true axis at which its pivot is given matters then
    assert hinge_errors((0, 1, 1), (0, 0, 2), Z, (0, 0, 2)) == pytest.approx((45, 0), abs=1e-12)


def test_skew_lines():
    """x axis lifted by 2 against the y axis: 90 degrees, nearest points 2 apart."""
    assert hinge_errors((1, 0, 0), (9, 0, 2), (0, -2, 0), (0, 0, 0)) == pytest.approx((90, 2))


def test_small_angles_are_not_lost_to_rounding():
    tilt = np.radians(1e-6)
    angle, _ = hinge_errors((np.sin(tilt), 0, np.cos(tilt)), (0, 0, 0), Z, (0, 0, 0))
    assert angle == pytest.approx(1e-6, rel=1e-3)
