"""What a run writes to its folder.

Every file appears complete or not at all: snapshots are written beside the others and renamed, text
files are replaced. Killed at any instant, a run can be opened at its last snapshot.

Not here: reading it back (store).
"""

import json
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import zarr
from numpy.typing import NDArray

from napari_hypermol.errors import OutputExistsError, RunFolderError
from napari_hypermol.io.replacing import replace_text, sync_folder, sync_tree
from napari_hypermol.runs.lock import check_free
from napari_hypermol.runs.pose_step import Poses
from napari_hypermol.runs.recipe import Recipe
from napari_hypermol.runs.recipe_text import write_recipe
from napari_hypermol.runs.run_facts import FORMAT_VERSION, is_run_folder, read_facts
from napari_hypermol.runs.snapshot import Snapshot
from napari_hypermol.runs.store import POSTERIOR_ARRAYS
from napari_hypermol.runs.trimming import cut_arrays

__all__ = ["RunWriter", "check_output"]


def check_output(path: Path, overwrite: bool) -> None:
    """Whether a run may be written to `path`; touches nothing.

    Raises
    ------
    OutputExistsError
        If something is there that is not an empty folder, nor a run that may be replaced.
    RunFolderError
        If a run is at work there.
    """
    if not path.exists():
        _check_parent(path)
        return
    if path.is_dir() and not any(path.iterdir()):
        return
    if not overwrite:
        raise OutputExistsError(
            f"{path}: exists already; choose another --out, or --overwrite to replace it"
        )
    if not is_run_folder(path):
        raise OutputExistsError(
            f"{path}: is not a run folder, so --overwrite leaves it alone; choose another --out"
        )
    check_free(path)


def _check_parent(path: Path) -> None:
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir():
        raise OutputExistsError(f"{path}: {above} is a file, not a folder; choose another --out")
    if not os.access(above, os.W_OK | os.X_OK):
        raise OutputExistsError(f"{path}: {above} cannot be written to; choose another --out")


class RunWriter:
    """Writes a run folder.

    Parameters
    ----------
    path : Path
    recipe : Recipe
        Masks are copied into the folder, so that it can be moved.
    recipe_folder : Path
        Where the recipe's relative paths start.
    facts : dict
        box_size, pixel_size, particles (absolute path), data_dir.
    overwrite : bool
        Replace a run that is there; anything else that is there is never touched.
    resume : bool
        Keep the snapshots of the run that is there; only where its particles are is written anew.

    Raises
    ------
    OutputExistsError
        If the folder exists and neither `overwrite` nor `resume` was asked for.
    """

    def __init__(
        self,
        path: Path,
        recipe: Recipe,
        recipe_folder: Path,
        facts: dict[str, Any],
        overwrite: bool = False,
        resume: bool = False,
    ) -> None:
        self.path = path
        if resume:
            for lost in (path / "store.zarr").glob(".writing_*"):  # of a process that was killed
                shutil.rmtree(lost, ignore_errors=True)
            moved = {name: facts[name] for name in ("particles", "data_dir")}
            known = read_facts(path)
            if known != known | moved:
                self.write_json("run.json", known | moved)
            return
        check_output(path, overwrite)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not any(path.iterdir()):  # ours to fill, perhaps not to move
            self._fill(recipe, recipe_folder, facts)
            return
        # made beside it and renamed: killed at any instant, there is a run to resume or none
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as beside:
            self.path = Path(beside) / "new"
            self.path.mkdir()
            self._fill(recipe, recipe_folder, facts)
            if path.exists():
                path.rename(Path(beside) / "old")
            self.path.rename(path)
        self.path = path

    def _fill(self, recipe: Recipe, recipe_folder: Path, facts: dict[str, Any]) -> None:
        """What a run folder begins with; run.json, which makes it one, comes last."""
        write_recipe(self._with_own_masks(recipe, recipe_folder), self.path / "recipe.yaml")
        self.write_json("run.json", {"format": FORMAT_VERSION, **facts})
        sync_tree(self.path)

    def _with_own_masks(self, recipe: Recipe, folder: Path) -> Recipe:
        """The recipe with its masks copied to ``masks/`` and named there."""
        components = dict(recipe.components)
        for name, component in components.items():
            support = component.support
            if support is None or support.mask is None:
                continue
            own = support.model_copy(update={"mask": self._own_mask(folder, support.mask, name)})
            components[name] = component.model_copy(update={"support": own})
        recipe = recipe.model_copy(update={"components": components})
        solvent = recipe.priors.coefficients.solvent_mask
        if solvent is None:
            return recipe
        name = self._own_mask(folder, solvent, "solvent")
        priors = recipe.priors.coefficients.model_copy(update={"solvent_mask": name})
        return recipe.model_copy(
            update={"priors": recipe.priors.model_copy(update={"coefficients": priors})}
        )

    def _own_mask(self, folder: Path, mask: str, name: str) -> str:
        """Copy a mask into the run; the path the recipe then names."""
        source = Path(mask)
        source = source if source.is_absolute() else folder / source
        target = self.path / "masks" / f"{name}{''.join(source.suffixes[-2:])}"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)
        return f"masks/{target.name}"

    def write_json(self, name: str, values: dict[str, Any]) -> None:
        """Replace a JSON file of the folder."""
        replace_text(self.path / name, json.dumps(values, indent=1, default=float) + "\n")

    def _store(self) -> Path:
        """Where arrays go, if the run folder is still there: zarr would make another one."""
        if not is_run_folder(self.path):
            raise RunFolderError(
                f"{self.path}: the run folder is not there any more; bring it or its disk back, "
                "and resume the run"
            )
        return self.path / "store.zarr"

    def write_snapshot(self, snapshot: Snapshot) -> None:
        """Add a snapshot to ``store.zarr``; it appears complete or not at all."""
        store = self._store()
        zarr.open_group(store, mode="a")
        final = store / f"snapshot_{snapshot.position:03d}"
        temporary = store / f".writing_{os.getpid()}"
        shutil.rmtree(temporary, ignore_errors=True)
        group = zarr.open_group(temporary, mode="w")
        estimate, posterior = snapshot.estimate, snapshot.posterior
        group.create_array("theta", data=estimate.theta)
        group.create_array("noise", data=estimate.noise)
        for index, spectrum in enumerate(estimate.spectra):
            group.create_array(f"spectrum_{index}", data=spectrum)
        for index, occupancy in enumerate(estimate.occupancies):
            group.create_array(f"occupancy_{index}", data=occupancy)
        n_cuts, cuts = cut_arrays(snapshot.molecule)
        for name, cut in cuts.items():
            group.create_array(name, data=cut)
        for name in POSTERIOR_ARRAYS:
            values = getattr(posterior, name)
            if values.size:
                group.create_array(name, data=values)
        for index, table in enumerate(posterior.tables):
            group.create_array(f"table_{index}", data=table)
        if snapshot.poses is not None:
            for name, values in zip(Poses._fields, snapshot.poses, strict=True):
                group.create_array(f"pose_{name}", data=values)
        group.attrs.update(
            {
                "position": snapshot.position,
                "stage": asdict(snapshot.stage),
                "edge_share": snapshot.edge_share,
                "contrast_std": estimate.contrast_std,
                "trajectories": [t and t.values() for t in snapshot.molecule.trajectories],
                "n_cuts": n_cuts,
                "trace": json.loads(json.dumps(snapshot.trace, default=float)),
            }
        )
        sync_tree(temporary)
        former = store / f".writing_{os.getpid()}_former"
        if final.exists():  # of a stage that is done again
            final.rename(former)
        temporary.rename(final)
        shutil.rmtree(former, ignore_errors=True)
        sync_folder(store)

    def write_posterior(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Write the group ``posterior`` of ``store.zarr``, complete or not at all."""
        store = self._store()
        temporary = store / f".writing_{os.getpid()}"
        shutil.rmtree(temporary, ignore_errors=True)
        group = zarr.open_group(temporary, mode="w")
        for name, values in arrays.items():
            if values.size:
                group.create_array(name, data=values)
        shutil.rmtree(store / "posterior", ignore_errors=True)
        temporary.rename(store / "posterior")
