"""The run folder, read while the run goes on or after it died.

Not here: what is written there (run_writer).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import (
    HypermolError,
    MaskError,
    RunFolderError,
    ShapeError,
)
from napari_hypermol.io.admission import inside, shown
from napari_hypermol.io.particle_file import IMAGE_NAME, ParticleFile
from napari_hypermol.io.relion_columns import RelionColumns
from napari_hypermol.io.relion_poses import rotations_of, shifts_of
from napari_hypermol.io.star import read_star
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.arrays import read_arrays, read_json
from napari_hypermol.runs.from_recipe import composite_of
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.pose_step import Poses
from napari_hypermol.runs.recipe import Recipe
from napari_hypermol.runs.recipe_text import read_recipe
from napari_hypermol.runs.run_facts import is_run_folder, read_facts
from napari_hypermol.runs.run_particles import open_particles
from napari_hypermol.runs.snapshot import Snapshot
from napari_hypermol.runs.stage_problem import Estimate
from napari_hypermol.runs.trimming import cuts_among
from napari_hypermol.schedules.stage import Stage

__all__ = ["POSTERIOR_ARRAYS", "Run"]

_PARTS = ("recipe.yaml", "run.json", "metrics.json", "particles.star", "store.zarr", "masks")
_MOST_DEGREE = 100  # of a state; more is damage, not data
POSTERIOR_ARRAYS = ("state_mean", "state_std", "contrast_mean", "contrast_std", "log_evidence")


def _check_inside(path: Path) -> None:
    """Refuse a run folder of which a part is a link: all of a run lies in its folder."""
    for name in _PARTS:
        place = path / name
        if place.is_symlink():
            raise RunFolderError(
                f"{place}: is a link, expected a run folder with all of its files in it; put the "
                "file itself there"
            )
    if (path / "masks").is_dir():
        for place in (path / "masks").iterdir():
            if place.is_symlink():
                raise RunFolderError(f"{place}: is a link, expected a mask; put the file there")


def _with_values(trajectory: Any, values: dict[str, Any]) -> Any:
    """A trajectory with values from a file, if they are as many finite numbers as it has."""
    for name, own in trajectory.values().items():
        given = np.asarray(values[name], dtype=np.float64)
        if given.shape != np.shape(own) or not np.isfinite(given).all():
            raise ValueError(f"{name} of a trajectory: {shown(values[name])}")
    return trajectory.with_values(values)


@dataclass(frozen=True, eq=False)
class Run:
    """A run folder, opened at its latest snapshot.

    Use `Run.open`. Everything is read when first asked for.
    """

    path: Path
    facts: dict[str, Any]

    @classmethod
    def open(cls, path: Path | str) -> "Run":
        """Open a run folder.

        Raises
        ------
        RunFolderError
            If it is not one.
        """
        path = Path(path)
        if not path.is_dir() or not is_run_folder(path):
            raise RunFolderError(
                f"{path}: is not a run folder (no recipe.yaml and run.json); "
                "give the folder that `hypermol reconstruct --out` wrote"
            )
        _check_inside(path)
        return cls(path, read_facts(path))

    # ---- what it is ---------------------------------------------------------------------------

    @cached_property
    def recipe(self) -> Recipe:
        """The complete recipe."""
        recipe = read_recipe(self.path / "recipe.yaml")
        for mask in recipe.masks():
            if not inside(mask):
                raise RunFolderError(
                    f"{self.path / 'recipe.yaml'}: names the mask {shown(mask)} outside the run, "
                    "which keeps its own in masks/; copy it there"
                )
        return recipe

    @property
    def box_size(self) -> int:
        """Edge of the particle images [pixels]."""
        return int(self.facts["box_size"])

    @property
    def pixel_size(self) -> float:
        """Edge of a pixel [Å]."""
        return float(self.facts["pixel_size"])

    def read_particles(self) -> ParticleFile:
        """The input particles."""
        data_dir = self.facts.get("data_dir")
        return open_particles(self.facts["particles"], data_dir, self.pixel_size)

    def read_poses(self) -> tuple[NDArray[np.floating], NDArray[np.floating]] | None:
        """Rotations (n, 3, 3) and shifts (n, 2) [Å] of the run's particles.star; None without."""
        path = self.path / "particles.star"
        if not path.is_file():
            return None
        blocks = read_star(path)
        table = next((t for t in blocks.values() if IMAGE_NAME in t), None)
        if table is None:
            raise RunFolderError(f"{path}: holds no particles; resume the run to write it again")
        columns = RelionColumns.of(path, table, blocks.get("optics"))
        rotations = rotations_of(columns)
        return None if rotations is None else (rotations, shifts_of(columns, self.pixel_size))

    @property
    def metrics(self) -> dict[str, Any]:
        """What ``metrics.json`` says; empty while there is none."""
        path = self.path / "metrics.json"
        if not path.is_file():
            return {}
        return read_json(path)

    # ---- what it found ------------------------------------------------------------------------

    def snapshots(self) -> list[int]:
        """Stages with a complete snapshot, in order."""
        folders = (self.path / "store.zarr").glob("snapshot_*")
        numbers = (re.fullmatch(r"snapshot_(\d{3,9})", folder.name) for folder in folders)
        return sorted(int(number[1]) for number in numbers if number)

    def molecule(
        self,
        max_radius: float,
        max_degree: int,
        trajectories: Sequence[Any],
        cuts: Sequence[NDArray[np.uint8] | None] = (),
    ) -> LinearMolecule:
        """The recipe's molecule at band limits [cycles per box edge], its trajectories filled in.

        Parameters
        ----------
        max_radius : float
        max_degree : int
        trajectories : sequence of dict or None
            Values of every component's trajectory, where it has one and they are known.
        cuts : sequence of (n, n, n) uint8 ndarray or None
            What is left of every coefficient set's support, where any was trimmed.

        Raises
        ------
        ValueError
            If the cuts are not those of this molecule.
        """
        composite = composite_of(self.recipe, self.path, self.box_size, self.pixel_size)
        try:
            composite = composite.trimmed(cuts) if cuts else composite
            molecule = composite.discretise(max_radius, max_degree)
        except (ShapeError, MaskError) as problem:
            if not cuts:
                raise
            raise ValueError(f"what is left of its supports: {problem}") from problem
        return molecule.with_trajectories(
            tuple(
                trajectory and values and _with_values(trajectory, values)
                for trajectory, values in zip(molecule.trajectories, trajectories, strict=True)
            )
        )

    def _latest(self) -> Path:
        stages = self.snapshots()
        if not stages:
            raise RunFolderError(
                f"{self.path}: holds no snapshot yet; wait for its first stage, or run it again"
            )
        return self.path / "store.zarr" / f"snapshot_{stages[-1]:03d}"

    @cached_property
    def snapshot(self) -> Snapshot:
        """The latest snapshot, without the moments of the particles' posteriors."""
        try:
            return self._read_snapshot(*read_arrays(self._latest()))
        except HypermolError:
            raise
        except Exception as problem:  # what is wrong shows anywhere in what is made of it
            raise RunFolderError(
                f"{self.path / 'store.zarr'}: the last snapshot is damaged "
                f"({type(problem).__name__}: {shown(problem, 80)}); remove its folder, or run again"
            ) from problem

    def _read_snapshot(self, attrs: dict[str, Any], group: dict[str, Any]) -> Snapshot:
        stage = Stage(**attrs["stage"])
        if not (0 < stage.max_radius <= self.box_size and 0 <= stage.max_degree <= _MOST_DEGREE):
            raise ValueError(f"a stage at {stage.max_radius} and degree {stage.max_degree}")
        cuts = cuts_among(int(attrs.get("n_cuts", 0)), group)
        molecule = self.molecule(stage.max_radius, stage.max_degree, attrs["trajectories"], cuts)
        spectra = [group[f"spectrum_{s}"] for s in range(len(molecule.bases))]
        theta = group["theta"]
        if theta.shape != (molecule.n_coefficients,):
            raise ValueError(f"{theta.size} coefficients, the recipe has {molecule.n_coefficients}")
        n = int(self.facts["n_particles"])
        arrays: dict[str, Any] = {
            name: group[name] if name in group else np.zeros((n, 0)) for name in POSTERIOR_ARRAYS
        }
        if arrays["contrast_mean"].shape != (n,):
            raise ValueError(f"contrasts of {arrays['contrast_mean'].shape}, expected ({n},)")
        tables: list[Any] = []
        while f"table_{len(tables)}" in group:
            tables.append(group[f"table_{len(tables)}"])
        occupancies: list[Any] = []
        while f"occupancy_{len(occupancies)}" in group:
            occupancies.append(group[f"occupancy_{len(occupancies)}"])
        nothing = np.zeros((n, 0), dtype=np.float32)
        posterior = ParticlePosterior(
            **arrays, first=nothing, second=nothing[:, None], tables=tuple(tables)
        )
        poses = None
        if "pose_rotations" in group:
            poses = Poses(*(group[f"pose_{name}"] for name in Poses._fields))
        noise, contrast_std = group["noise"], float(attrs["contrast_std"])
        return Snapshot(
            stage=stage,
            position=int(attrs["position"]),
            molecule=molecule,
            estimate=Estimate(theta, spectra, noise, contrast_std, tuple(occupancies)),
            posterior=posterior,
            edge_share=float(attrs["edge_share"]),
            trace=attrs["trace"],
            poses=poses,
        )

    @cached_property
    def maps(self) -> HyperMaps:
        """The molecule at any state."""
        return self.snapshot.maps

    @property
    def detail(self) -> float:
        """The finest there can be in its maps [voxels of the box]."""
        return self.box_size / self.snapshot.stage.max_radius

    @cached_property
    def posterior(self) -> dict[str, NDArray[Any]]:
        """Kept draws and what was made of them, by name; empty without."""
        path = self.path / "store.zarr" / "posterior"
        if not path.is_dir():
            return {}
        return read_arrays(path)[1]

    @property
    def states(self) -> NDArray[np.float64]:
        """Posterior mean of every particle's states, (n, d), input order."""
        return self.snapshot.posterior.state_mean

    @property
    def state_stds(self) -> NDArray[np.float64]:
        """Posterior standard deviation of the states, (n, d)."""
        return self.snapshot.posterior.state_std

    @property
    def contrasts(self) -> NDArray[np.float64]:
        """Posterior mean of the contrasts, (n,)."""
        return self.snapshot.posterior.contrast_mean
