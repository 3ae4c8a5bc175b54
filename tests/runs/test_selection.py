import numpy as np
import pytest

from napari_hypermol.errors import HypermolError, OutputExistsError
from napari_hypermol.io.particle_file import read_particles
from napari_hypermol.runs.selection import (
    export_particles,
    outliers,
    select,
    selectable,
    where_images_are,
)
from napari_hypermol.runs.store import Run


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


def test_outliers(tiny_run):
    run = Run.open(tiny_run.run.path)
    posterior = run.snapshot.posterior
    evidence, contrast = posterior.log_evidence, posterior.contrast_mean
    evidence[:], contrast[:] = np.linspace(99, 101, 60), np.linspace(0.9, 1.1, 60)
    none, sentence = outliers(run)
    assert not none.any()
    assert sentence.startswith("no particle stands out")
    evidence[[4, 7]], contrast[[7, 9, 11]] = 80, (3, 3, 0.1)
    evidence[20] = 300  # explained better than the others is no fault
    found, sentence = outliers(run)
    assert np.flatnonzero(found).tolist() == [4, 7, 9, 11]
    assert sentence.startswith("4 of 60 particles stand out: 2 explained far worse")
    contrast[:], evidence[:] = 1, 1
    assert not outliers(run)[0].any()


def test_export(tiny_run, tmp_path):
    run, file = tiny_run.run, tiny_run.run.read_particles()
    rows = np.zeros(60, dtype=bool)
    rows[[3, 8]] = True
    export_particles(file, tmp_path / "a.star", rows)
    export_particles(file, tmp_path / "b.star", rows, run)
    plain, found = (read_particles(tmp_path / f"{x}.star", data_dir=tiny_run.data) for x in "ab")
    assert plain.table.columns.tolist() == file.table.columns.tolist()
    assert plain.table["rlnImageName"].tolist() == file.table["rlnImageName"].iloc[[3, 8]].tolist()
    assert set(found.table) - set(plain.table) >= {"hypermolState1", "hypermolContrast"}
    with pytest.raises(OutputExistsError, match="exists"):
        export_particles(file, tmp_path / "a.star", rows)
    with pytest.raises(OutputExistsError, match="keep the original"):
        export_particles(file, file.path, rows, overwrite=True)


def test_images_are_not_found_from_elsewhere(tiny_run, tmp_path):
    file = tiny_run.run.read_particles()
    home = file.path.parent
    assert where_images_are(file, home / "kept.star") == ""
    assert where_images_are(file, home / "kept" / "kept.star") == ""
    assert str(home) in where_images_are(file, tmp_path / "kept.star")
