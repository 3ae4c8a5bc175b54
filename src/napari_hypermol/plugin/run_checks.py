"""What the Check page shows of a run, gathered in a worker; no Qt."""

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import OutputExistsError, RunFolderError
from napari_hypermol.io.particle_file import ParticleFile
from napari_hypermol.runs.directions import direction_density, direction_means, direction_share
from napari_hypermol.runs.half_sets import HalfSetCurves, half_set_curves
from napari_hypermol.runs.predictions import NoiseCheck, Predictions, noise_check, shown_rows
from napari_hypermol.runs.state_axes import class_numbers
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.verdicts import Verdict, entanglement_verdict, verdicts

__all__ = ["RunChecks", "SphereMap", "export_report", "look_at_run", "run_checks"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
_SHOWN = 3  # particles of either kind


class SphereMap(NamedTuple):
    """A number in equal parts of the sphere, and what it is."""

    name: str
    parts: Float64
    caption: str


class RunChecks(NamedTuple):
    """What needs the images; m particles are shown.

    Attributes
    ----------
    spheres : list of SphereMap
    entanglement : list of Verdict
    rows : (m,) int64 ndarray
        First the worst, then typical ones.
    n_worst : int
    triples : (m, 3, y, x) float32 ndarray
        Image, prediction, residual in units of the noise.
    noise : NoiseCheck
    """

    spheres: list[SphereMap]
    entanglement: list[Verdict]
    rows: NDArray[np.int64]
    n_worst: int
    triples: Float32
    noise: NoiseCheck


def run_checks(run: Run) -> tuple[list[Verdict], list[HalfSetCurves]]:
    """What stands in the folder of a run."""
    halves = run.metrics.get("half_sets")
    edge = run.box_size * run.pixel_size
    curves = [] if halves is None else half_set_curves(halves, run.maps.axes, edge)
    return verdicts(run), curves


def look_at_run(run: Run, file: ParticleFile | None) -> RunChecks:
    """What needs the particles: directions, residuals, noise.

    Parameters
    ----------
    run : Run
    file : ParticleFile or None
        Its particles; None: read them.

    Raises
    ------
    HypermolError
        If they cannot be read any more.
    """
    file = run.read_particles() if file is None else file
    if file.n != int(run.facts["n_particles"]):
        raise RunFolderError(
            f"{file.path}: holds {file.n:,} particles, the run was made from "
            f"{run.facts['n_particles']:,}; put the file back as it was"
        )
    predictions = Predictions(file.particles, run.snapshot)
    rotations = predictions.posed.rotations
    spheres, entanglement = _spheres(run, rotations) if rotations is not None else ([], [])
    evidence = run.snapshot.posterior.log_evidence
    worst, typical = shown_rows(evidence, _SHOWN)
    rows = np.concatenate([worst, typical])
    return RunChecks(
        spheres, entanglement, rows, len(worst), predictions.triples(rows), noise_check(predictions)
    )


def _spheres(run: Run, rotations: NDArray[np.floating]) -> tuple[list[SphereMap], list[Verdict]]:
    density = direction_density(rotations)
    caption = f"times as many particles as if all directions were alike, 0 to {density.max():.1f}"
    maps, entanglement = [SphereMap("Number of particles", density, caption)], []
    # strict=False: before the states begin there are axes, but no states
    for axis, states in zip(run.maps.axes, run.states.T, strict=False):
        if axis.kind == "circle":  # it has no mean that a colour could show
            continue
        numbers = {f"{axis.name}": states}
        if axis.kind == "class":
            own = class_numbers(states, axis.n_classes)
            numbers = {
                f"share of {axis.name} class {k}": (own == k).astype(np.float64)
                for k in range(1, axis.n_classes + 1)
            }
        for name, values in numbers.items():
            mean, std = direction_means(rotations, values)
            maps.append(_sphere(f"Mean of {name}" if values is states else name, mean))
            if values is states:
                maps.append(_sphere(f"Spread of {name}", std))
            entanglement.append(entanglement_verdict(name, direction_share(rotations, values)))
    return maps, entanglement


def _sphere(name: str, parts: Float64) -> SphereMap:
    if np.isnan(parts).all():
        return SphereMap(name, parts, "too few particles in every direction")
    return SphereMap(name, parts, f"{np.nanmin(parts):.2f} to {np.nanmax(parts):.2f}")


def export_report(run: Run, path: Path) -> None:
    """Copy a run's report, which needs no other file.

    Raises
    ------
    RunFolderError
        If there is none yet.
    OutputExistsError
        If `path` is in the run's folder.
    """
    source = run.path / "report.html"
    if not source.is_file():
        raise RunFolderError(f"{run.path}: has no report yet; a run writes it at its end")
    if path.resolve().parent == run.path.resolve():
        raise OutputExistsError(f"{path}: is in the folder of the run; choose another folder")
    shutil.copyfile(source, path)
