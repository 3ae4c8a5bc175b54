import numpy as np
import pytest

from napari_hypermol.errors import HypermolError
from napari_hypermol.runs.selection import select, selectable


@pytest.fixture
def run(tiny_run):
    return tiny_run.run


def test_names(run):
    values = selectable(run)
    assert list(values) == [
        *("contrast", "state1", "state1_std", "state2", "state2_std", "log_likelihood")
    ]
    assert {v.shape for v in values.values()} == {(60,)}


def test_classes_by_their_number(mixed_run):
    run = mixed_run.run
    values = selectable(run)
    assert "class2" in values
    assert "class1" not in values  # a circle
    numbers = (3 * run.states[:, 1] + 0.5).round()  # middles 1/6, 3/6, 5/6
    assert set(numbers) <= {1.0, 2.0, 3.0}
    for k in (1, 2, 3):
        rows = select(run, f"class2 == {k}")
        np.testing.assert_array_equal(rows, np.flatnonzero(numbers == k))
    rows = select(run, "class2 != 1 and (state1 < 0.1 or state1 > 0.9)")
    near = (run.states[:, 0] < 0.1) | (run.states[:, 0] > 0.9)
    np.testing.assert_array_equal(rows, np.flatnonzero((numbers != 1) & near))


@pytest.mark.parametrize(
    ("condition", "meaning"),
    [
        ("state1 < 0.3", lambda s, t, c: s < 0.3),
        ("0.3 >= state1", lambda s, t, c: s <= 0.3),
        ("0.2 < state1 <= 0.6", lambda s, t, c: (s > 0.2) & (s <= 0.6)),
        ("state1 < state2 < 0.9", lambda s, t, c: (s < t) & (t < 0.9)),
        ("not state1 < 0.5", lambda s, t, c: s >= 0.5),
        # "and" binds more tightly than "or", "not" than both
        (
            "state1 < 0.3 or state2 < 0.5 and contrast > 1",
            lambda s, t, c: (s < 0.3) | ((t < 0.5) & (c > 1)),
        ),
        (
            "(state1 < 0.3 or state2 < 0.5) and contrast > 1",
            lambda s, t, c: ((s < 0.3) | (t < 0.5)) & (c > 1),
        ),
        (
            "not state1 < 0.3 and not state2 < 0.5",
            lambda s, t, c: (s >= 0.3) & (t >= 0.5),
        ),
        ("-contrast < -1", lambda s, t, c: c > 1),
        ("state1 == state1", lambda s, t, c: s == s),
        ("  state1 != state1\n", lambda s, t, c: s != s),
    ],
)
def test_conditions_mean_what_they_say(run, condition, meaning):
    expected = np.flatnonzero(meaning(*run.states.T, run.contrasts))
    np.testing.assert_array_equal(select(run, condition), expected)


@pytest.mark.parametrize(
    "condition",
    [
        "__import__('os').system('true')",
        "state1.sum() > 0",
        "state1.__class__ == state1",
        "(lambda: 1)() < state1",
        "[x for x in state1] < 1",
        "state1[0] < 1",
        "state1 + 1 < 2",
        "state1 ** 9 < 2",
        "state1 < 'a'",
        "state1 < True",
        "state1 < 1j",
        "state1 < None",
        "state1 in contrast",
        "state1 is contrast",
        "state1 := 3",
        "state1 < f'{1}'",
        "~(state1 < 1)",
        "state3 < 0.5",
        "State1 < 0.5",
        "state1",
        "0.5",
        "1 < 2",
        "not 1",
        "state1 < 0.5 and 1",
        "state1 <",
        "state1 < 0.5; contrast > 1",
        "state1 = 0.5",
        "",
        "\0",
        "state1 < 1" + "0" * 400,
        "state1 < 1" + "0" * 5000,
        "not " * 20_000 + "state1 < 1",
        "(" * 500 + "state1 < 1" + ")" * 500,
    ],
)
def test_anything_else_is_refused(run, condition):
    with pytest.raises(HypermolError, match="write for example"):
        select(run, condition)
