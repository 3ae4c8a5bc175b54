"""What a run of one component suggests is a recipe that runs, from that run's own particles."""

from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from napari_hypermol.errors import OutputExistsError, RunFolderError
from napari_hypermol.io import read_volume
from napari_hypermol.runs import suggested_recipe as module
from napari_hypermol.runs.job import Job
from napari_hypermol.runs.recipe_text import read_recipe, recipe_from
from napari_hypermol.runs.reconstruct import reconstruct
from napari_hypermol.runs.suggest import Suggestion
from napari_hypermol.runs.suggested_recipe import suggested_recipe, write_suggestion
from small_runs import BRIEF, EDGE, TINY, recovered, simulated

BOX, PIXEL = 32, 6.0
ONE = {"whole": {"support": {"ball": {"radius": 70}}, "state": {"degree": 2}}}


def suggestion():
    labels = np.zeros((BOX, BOX, BOX), dtype=np.uint8)
    labels[10:22, 10:22, 10:22] = 1
    labels[14:17, 14:17, 22:26] = 2
    labels[14:17, 14:17, 5:9] = 3
    return Suggestion(labels, {1: "body", 2: "moving_1", 3: "moving_2"})


def run_of(values, folder):
    """As much of a run as a suggestion is made of."""
    return SimpleNamespace(
        recipe=recipe_from(values),
        path=folder / "run",
        box_size=BOX,
        pixel_size=PIXEL,
        maps=None,
        detail=3.5,
    )


def suggested(run):
    """The recipe's plain values, in a folder beside the run."""
    return suggested_recipe(run, suggestion(), run.path.parent / "next")


def test_a_body_at_rest_and_a_knob_for_every_part(tmp_path):
    values = suggested_recipe(
        run_of({"components": ONE}, tmp_path), suggestion(), tmp_path / "next"
    )
    recipe = recipe_from(values)
    assert list(recipe.components) == ["body", "moving_1", "moving_2"]
    body = recipe.components["body"]
    assert body.state is None
    assert body.support.ball.radius == 70  # the whole of it: what is at rest in a part is in there
    for name in ("moving_1", "moving_2"):
        part = recipe.components[name]
        assert part.state.dims == 1
        assert (part.support.mask, part.support.trim) == (f"masks/{name}.mrc", "always")
    assert recipe.latents.rotation == recipe.latents.shift == "known"


def test_poses_go_on_from_where_the_run_left_them(tmp_path):
    """Found from nothing they are refined, and looked for again; priors of the run are kept."""
    latents = {"rotation": "search", "shift": "search", "search": {"starts": 3}}
    searched = {"components": ONE, "latents": latents, "priors": {"shift": {"std": 4.0}}}
    recipe = recipe_from(suggested(run_of(searched, tmp_path)))
    assert (recipe.latents.rotation, recipe.latents.shift) == ("refine", "refine")
    assert recipe.priors.rotation == "uniform"
    assert recipe.priors.shift.std == 4.0
    refined = {"latents": {"rotation": "refine"}, "priors": {"rotation": {"near": 5}}}
    recipe = recipe_from(suggested(run_of(refined, tmp_path)))
    assert recipe.latents.rotation == "refine"
    assert recipe.priors.rotation.near == 5
    assert recipe.components["body"].support.ball.radius == pytest.approx(0.45 * BOX * PIXEL)


def test_a_run_that_has_components_is_refused(tmp_path):
    two = {"components": {**ONE, "other": {"support": {"ball": {"radius": 20}}}}}
    with pytest.raises(RunFolderError, match="has components already \\(whole, other\\)"):
        suggested(run_of(two, tmp_path))


def test_files(tmp_path, monkeypatch):
    """Masks are looser than what was seen to move; nothing of anybody else's is replaced."""
    monkeypatch.setattr(module, "suggest_components", lambda maps, detail: suggestion())
    run, out = run_of({"components": ONE}, tmp_path), tmp_path / "next"
    assert write_suggestion(run, out) == ["moving_1", "moving_2"]
    recipe = read_recipe(out / "recipe.yaml")
    assert (out / recipe.particles).resolve() == run.path / "particles.star"
    for label, name in suggestion().names.items():
        if label > 1:
            mask = read_volume(out / "masks" / f"{name}.mrc").values
            seen = suggestion().labels == label
            assert (mask[seen] == 1).all()
            assert seen.sum() < mask.sum() < 12 * seen.sum()
    with pytest.raises(OutputExistsError, match="exists already"):
        write_suggestion(run, out)
    write_suggestion(run, out, overwrite=True)
    (out / "masks" / "lid.mrc").write_text("painted")  # by the user
    write_suggestion(run, out, overwrite=True)
    assert (out / "masks" / "lid.mrc").read_text() == "painted"
    other = tmp_path / "other"
    (other / "masks").mkdir(parents=True)
    (other / "masks" / "moving_1.mrc").write_text("painted")
    (other / "recipe.yaml").write_text("seed: 1")  # of no suggestion
    with pytest.raises(OutputExistsError, match="exists already"):
        write_suggestion(run, other, overwrite=True)
    assert (other / "masks" / "moving_1.mrc").read_text() == "painted"
    assert (other / "recipe.yaml").read_text() == "seed: 1"


def test_what_was_asked_of_the_run_is_asked_again(tmp_path):
    """Its mask is the body's, its solvent mask stays; both lie in the run's folder."""
    support = {"mask": "masks/whole.mrc", "soft_edge": 4.0}
    values = {
        "components": {"whole": {"support": support, "state": {}}},
        "priors": {"coefficients": {"solvent": 1.0, "solvent_mask": "masks/solvent.mrc"}},
        "half_sets": True,
        "schedule": BRIEF,
    }
    recipe = recipe_from(suggested(run_of(values, tmp_path)))
    body = recipe.components["body"]
    assert body.support.mask == "../run/masks/whole.mrc"
    assert body.support.soft_edge == 4.0
    assert body.state is None
    assert recipe.priors.coefficients.solvent_mask == "../run/masks/solvent.mrc"
    assert recipe.half_sets
    assert recipe.schedule == "auto"


def test_from_a_run_to_the_next(tmp_path):
    whole = {"whole": {"support": {"ball": {"radius": 80}}, "state": {"dims": 2, "degree": 1}}}
    data = simulated(tmp_path / "data", TINY, components=whole, schedule=BRIEF)
    first = recovered(data, tmp_path / "run")
    parts = write_suggestion(first.run, tmp_path / "next")
    path = tmp_path / "next" / "recipe.yaml"
    values = yaml.safe_load(path.read_text()) | {"schedule": BRIEF}
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    recipe = read_recipe(path)
    assert list(recipe.components)[1:] == parts
    # the recipe names the particles, whose images are where those of the first run are
    second = reconstruct(Job(None, tmp_path / "second", path))
    assert second.maps.axis_components == tuple(parts)
    assert second.read_particles().n == TINY.n
    assert second.box_size * second.pixel_size == EDGE
