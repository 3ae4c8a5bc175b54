"""What can be said of a recipe in the making: what is wrong, where its supports lie, what it asks.

A draft is wrong while it is written, so every component is looked at by itself: those that are
right are shown while one is not.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from napari_hypermol.errors import HypermolError
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.runs.from_recipe import composite_of, stages_of
from napari_hypermol.runs.recipe import Recipe
from napari_hypermol.runs.recipe_text import Keys, problems_of, recipe_from
from napari_hypermol.runs.support_maps import SupportMap, support_maps
from napari_hypermol.runs.unknowns import few_particles_sentences, unknowns, unknowns_sentences

__all__ = ["DraftCheck", "check_draft"]


class DraftCheck(NamedTuple):
    """What was found.

    Attributes
    ----------
    problems : dict
        A sentence by the keys it is about; see `runs.recipe_text.problems_of`.
    supports : list of SupportMap
        Of the components without a problem.
    asks : list of str
        Unknowns against particles; empty while there are problems or no particles.
    warnings : list of str
        Where the particles are too few.
    """

    problems: dict[Keys, str]
    supports: list[SupportMap]
    asks: list[str]
    warnings: list[str]


def check_draft(
    draft: Mapping[str, Any],
    folder: Path,
    box_size: int,
    pixel_size: float,
    n_particles: int | None = None,
    preview: int | None = None,
) -> DraftCheck:
    """Check a draft for particles of this box.

    Parameters
    ----------
    draft : mapping
        Plain values.
    folder : Path
        Where its relative paths start.
    box_size : int
        [pixels].
    pixel_size : float
        [Å].
    n_particles : int or None
        None where they are not known.
    preview : int or None
        Voxels along an edge of the supports; None: as many as the box has.

    Returns
    -------
    DraftCheck
    """
    problems = problems_of(draft)
    given = draft.get("components")
    components: dict[str, Any] = given if isinstance(given, dict) else {}
    supports: list[SupportMap] = []
    for name in components:
        if any(path[:2] == ("components", name) for path in problems):
            continue
        try:
            one = _alone(components, name)
            composite = composite_of(one, folder, box_size, pixel_size)
            own = _copies(composite, name)
            kept = [c for c in composite.components if c.name in own]
            supports += support_maps(Composite(kept, box_size), [name], preview)
        except HypermolError as problem:
            path, words = _located(str(problem), name)
            problems[path] = words
    asks: list[str] = []
    warnings: list[str] = []
    if not problems:
        try:
            recipe = recipe_from(dict(draft))
            composite = composite_of(recipe, folder, box_size, pixel_size)
            stages = stages_of(recipe, composite, pixel_size)
            if n_particles is not None:
                radius = max(stage.max_radius for stage in stages)
                found = unknowns(composite, radius, n_particles)
                asks, warnings = unknowns_sentences(found), few_particles_sentences(found)
        except HypermolError as problem:
            path, words = _located(str(problem), None)
            problems[path] = words
    return DraftCheck(problems, supports, asks, warnings)


def _alone(components: dict[str, Any], name: str) -> Recipe:
    """A recipe of one component, and of the one it shares with."""
    values = components[name]
    owner = values.get("share") if isinstance(values, dict) else None
    others = {owner: components[owner]} if owner in components and owner != name else {}
    return recipe_from({"components": {**others, name: values}})


def _copies(composite: Composite, name: str) -> set[str]:
    """Names of a component and of its copies under a symmetry: arm, or arm_1, arm_2, ..."""
    names = [c.name for c in composite.components]
    return {name} if name in names else {n for n in names if n.rpartition("_")[0] == name}


def _located(sentence: str, name: str | None) -> tuple[Keys, str]:
    """``components.arm.share: words`` in two; without keys it is about the component's support."""
    keys, _, words = sentence.partition(": ")
    parts = tuple(int(p) if p.isdigit() else p for p in keys.split("."))
    if words and parts[0] in Recipe.model_fields:
        return parts, words
    return ((), sentence) if name is None else (("components", name, "support"), sentence)
