import numpy as np
import pytest

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.io.image_names import locate_images


@pytest.fixture
def project(tmp_path):
    """project/Extract/a.mrcs beside project/Refine/job001/run_data.star, as RELION lays it out."""
    for name in ("Extract/a.mrcs", "Refine/job001/b.mrcs", "elsewhere/c.mrcs", "elsewhere/a.mrcs"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_indices_and_files(project):
    star = project / "Refine/job001/run_data.star"
    places = locate_images(["3@b.mrcs", "000001@Extract/a.mrcs", "2@b.mrcs", "b.mrcs"], star)
    assert places.paths == (project / "Refine/job001/b.mrcs", project / "Extract/a.mrcs")
    np.testing.assert_array_equal(places.file_of, [0, 1, 0, 0])
    np.testing.assert_array_equal(places.index_of, [2, 0, 1, 0])


def test_current_folder_is_looked_in_last(project, monkeypatch):
    monkeypatch.chdir(project / "elsewhere")
    star = project / "Refine/job001/run_data.star"
    assert locate_images(["1@c.mrcs"], star).paths == (project / "elsewhere/c.mrcs",)


def test_data_dir_comes_first(project):
    star = project / "Refine/job001/run_data.star"
    data_dir = project / "elsewhere"
    assert locate_images(["1@a.mrcs"], star, data_dir).paths == (data_dir / "a.mrcs",)
    assert locate_images(["1@gone/c.mrcs"], star, data_dir).paths == (data_dir / "c.mrcs",)
    assert locate_images(["1@/gone/c.mrcs"], star, data_dir).paths == (data_dir / "c.mrcs",)
    assert locate_images(["1@b.mrcs"], star, data_dir).paths == (star.parent / "b.mrcs",)


def test_absolute_names(project):
    path = project / "Extract/a.mrcs"
    assert locate_images([f"1@{path}"], project / "x.star").paths == (path,)
    with pytest.raises(ParticleFileError, match=r"/no/such\.mrcs does not exist.*--data-dir"):
        locate_images(["1@/no/such.mrcs"], project / "x.star")


@pytest.mark.parametrize("stack", ["../elsewhere/c.mrcs", "x/../../elsewhere/c.mrcs"])
def test_names_that_climb_out_need_data_dir(project, stack):
    star = project / "Extract/x.star"
    with pytest.raises(ParticleFileError, match=r"outside the folder .* --data-dir"):
        locate_images([f"1@{stack}"], star)
    (project / "Extract/x").mkdir()
    found = locate_images([f"1@{stack}"], star, project / "Extract").paths[0]
    assert found.resolve() == (project / "elsewhere/c.mrcs").resolve()


def test_two_names_must_not_become_one_file(project):
    """Looking by the last part alone must not mix two stacks of the same name up."""
    with pytest.raises(ParticleFileError, match=r"both taken for .*mrcs"):
        locate_images(["1@one/a.mrcs", "1@two/a.mrcs"], project / "x.star", project / "elsewhere")


@pytest.mark.parametrize("name", ["0@a.mrcs", "-1@a.mrcs", "x@a.mrcs", "99999999999@a.mrcs"])
def test_indices_from_one(project, name):
    with pytest.raises(ParticleFileError, match="row 2, expected index@stack"):
        locate_images(["1@a.mrcs", name], project / "Extract/x.star")


def test_missing_says_where_it_looked(project):
    with pytest.raises(ParticleFileError, match=r"no\.mrcs does not exist \(looked in .*Extract"):
        locate_images(["1@no.mrcs"], project / "Extract/x.star")
