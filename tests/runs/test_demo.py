import numpy as np
from matplotlib.image import imread

from napari_hypermol.runs.demo import demo_picture
from napari_hypermol.runs.score import score
from napari_hypermol.runs.truth import read_truth


def test_picture_shows_truth_beside_what_was_found(tiny_run, tmp_path, monkeypatch):
    from napari_hypermol.runs import demo

    kept = []
    original = demo.montage
    monkeypatch.setattr(demo, "montage", lambda *a: kept.append(a[0]) or original(*a))
    truth = read_truth(tiny_run.data / "truth.star")
    demo_picture(tiny_run.run, truth, score(tiny_run.run, truth), tmp_path / "demo.png")
    picture = imread(tmp_path / "demo.png")
    assert picture.std() > 0.05
    ((*rows,),) = kept
    assert [name for name, _ in rows] == [
        "particles",
        *("arm a,\ntruth", "arm a,\nrecovered", "arm b,\ntruth", "arm b,\nrecovered"),
    ]
    assert {len(pictures) for _, pictures in rows} == {6}
    # truth and recovered are shown at the same states, in the same direction
    whole = [np.concatenate([p.ravel() for p in pictures]) for _, pictures in rows[1:]]
    assert np.corrcoef(whole[0], whole[1])[0, 1] > 0.7
