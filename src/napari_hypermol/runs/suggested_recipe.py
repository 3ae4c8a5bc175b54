"""The recipe that a run suggests next: a body at rest and the parts that move against it.

Not here: which parts (`suggest`).
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from napari_hypermol.errors import OutputExistsError, RunFolderError
from napari_hypermol.io import write_volume
from napari_hypermol.io.replacing import replacing
from napari_hypermol.molecules.mask_making import dilated
from napari_hypermol.runs.recipe_text import recipe_from
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.suggest import Suggestion, suggest_components

__all__ = ["on_found_poses", "suggested_recipe", "write_suggestion"]

# A part's support, beyond where it was seen to move, in parts of the box: its root, and where few
# particles have it. Loose is right, as it is trimmed before every stage.
_BEYOND = 0.06
_DEGREE = 4  # of a part's state
_MARK = (
    "# Parts suggested by a run; write what you like, hypermol suggest --overwrite replaces it.\n"
)


def on_found_poses(
    latents: Mapping[str, Any], priors: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Latents and priors of a run that begins at the poses another one has found.

    What was searched is refined; of rotations from nothing no one knows how far off they are, so
    the grid is looked at again.
    """
    latents = {name: value for name, value in latents.items() if name != "search"}
    priors = dict(priors)
    if latents.get("rotation") == "search":
        latents["rotation"], priors["rotation"] = "refine", "uniform"
    if latents.get("shift") == "search":
        latents["shift"] = "refine"
    return latents, priors


def suggested_recipe(run: Run, suggestion: Suggestion, out: Path) -> dict[str, Any]:
    """Plain values of the next recipe; masks of the parts are ``masks/NAME.mrc``.

    The body is all that the run's own support holds, and stays. Poses that the run has found are
    where the next one begins; found from nothing, they are also looked for on the grid again. What
    else was asked of the run is asked again, but for its schedule: parts have other states.

    Parameters
    ----------
    run : Run
        Of one component.
    suggestion : Suggestion
    out : Path
        Folder the recipe will be in: masks that the run was given are named from there.

    Raises
    ------
    RunFolderError
        If it has several components already.
    """
    recipe = run.recipe
    if len(recipe.components) > 1:
        raise RunFolderError(
            f"{run.path}: has components already ({', '.join(recipe.components)}); parts are "
            "suggested by a run of one component"
        )
    whole = next(iter(recipe.components.values()), None)
    body: dict[str, Any] = {}
    if whole is not None:
        body = whole.model_dump(
            mode="json", include={"support", "symmetry"}, exclude_none=True, exclude_defaults=True
        )
    if not body.get("support"):
        body["support"] = {"ball": {"radius": 0.45 * run.box_size * run.pixel_size}}
    elif "mask" in body["support"]:
        body["support"]["mask"] = _from(out, run.path / body["support"]["mask"])
    components: dict[str, Any] = {"body": body}
    for label, name in suggestion.names.items():
        if label > 1:
            components[name] = {
                "support": {"mask": f"masks/{name}.mrc", "trim": "always"},
                "state": {"basis": "cosine", "degree": _DEGREE},
            }
    latents, priors = on_found_poses(
        recipe.latents.model_dump(mode="json"),
        recipe.priors.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
    )
    if solvent := recipe.priors.coefficients.solvent_mask:
        priors["coefficients"]["solvent_mask"] = _from(out, run.path / solvent)
    values = {
        "components": components, "priors": priors, "latents": latents,
        "half_sets": recipe.half_sets, "posterior": recipe.posterior.model_dump(mode="json"),
        "seed": recipe.seed,
    }  # fmt: skip
    recipe_from(values, run.path)
    return values


def _from(out: Path, path: Path) -> str:
    """A path as it is called in a recipe in `out`."""
    return os.path.relpath(path.absolute(), out.absolute())


def write_suggestion(run: Run, out: Path, overwrite: bool = False) -> list[str]:
    """Write ``recipe.yaml`` and the masks of its parts.

    Parameters
    ----------
    run : Run
        Of one component with a state.
    out : Path
        A folder to make.
    overwrite : bool
        Whether an earlier suggestion there may be replaced.

    Returns
    -------
    list of str
        Names of the parts.

    Raises
    ------
    RunFolderError
        If nothing moves, or the run has components already.
    OutputExistsError
        If `out` is there, and is not an earlier suggestion or may not be replaced.
    """
    suggestion = suggest_components(run.maps, run.detail)
    values = suggested_recipe(run, suggestion, out)
    path = out / "recipe.yaml"
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        if not (overwrite and _is_suggestion(path)):
            raise OutputExistsError(f"{out}: exists already; choose another --out")
        for mask in (out / "masks").glob("moving_*.mrc"):
            mask.unlink()
    (out / "masks").mkdir(parents=True, exist_ok=True)
    parts = {label: name for label, name in suggestion.names.items() if label > 1}
    for label, name in parts.items():
        inside = dilated(suggestion.labels == label, _BEYOND * run.box_size)
        place = out / "masks" / f"{name}.mrc"
        write_volume(place, inside.astype(np.float32), run.pixel_size)
    values = {"particles": _from(out, run.path / "particles.star"), **values}
    with replacing(path, overwrite) as temporary:
        text = yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=100)
        temporary.write_text(_MARK + text, encoding="utf-8")
    return list(parts.values())


def _is_suggestion(path: Path) -> bool:
    """Whether a recipe was written here: any other may have been a day's work."""
    try:
        return path.read_text(encoding="utf-8").startswith(_MARK)
    except (OSError, UnicodeError):
        return False
