"""The columns that a run adds to its particles, and those it replaces."""

from pathlib import Path
from typing import Any

import numpy as np

from napari_hypermol.io.particle_file import ParticleFile
from napari_hypermol.runs.snapshot import Snapshot
from napari_hypermol.runs.state_axes import class_numbers, state_axes

__all__ = ["particle_columns", "pose_columns_of", "write_particles"]

_OURS = "hypermol"


def particle_columns(snapshot: Snapshot) -> dict[str, Any]:
    """The columns a run adds to its particles, poses apart; each (n,).

    ``hypermolState1`` and ``hypermolState1Std`` are the raw state in [0, 1] and its spread, as
    `posterior.states.state_moments` has them. For a range ``hypermolState1Rank`` is the rank among
    all particles, uniform by construction, for comparisons between runs; for a class
    ``hypermolState1Class`` is its number, 1 to K.
    """
    posterior = snapshot.posterior
    columns: dict[str, Any] = {}
    n = len(posterior.contrast_mean)
    # strict=False: before the states begin there are axes, but no states
    for index, (states, axis) in enumerate(
        zip(posterior.state_mean.T, state_axes(snapshot.molecule), strict=False), 1
    ):
        columns[f"hypermolState{index}"] = states
        columns[f"hypermolState{index}Std"] = posterior.state_std[:, index - 1]
        if axis.kind == "class":
            columns[f"hypermolState{index}Class"] = class_numbers(states, axis.n_classes)
        elif axis.kind == "interval":
            ranks = np.empty(n)
            ranks[np.argsort(states, kind="stable")] = (np.arange(n) + 0.5) / n
            columns[f"hypermolState{index}Rank"] = ranks
    poses = snapshot.poses
    columns["hypermolRotationStd"] = (
        np.zeros(n) if poses is None else np.degrees(poses.rotation_std)
    )
    if poses is not None:
        columns["hypermolShiftStd"] = poses.shift_std
    columns["hypermolContrast"] = posterior.contrast_mean
    columns["hypermolContrastStd"] = posterior.contrast_std
    columns["hypermolLogLikelihood"] = posterior.log_evidence
    return columns


def pose_columns_of(file: ParticleFile, snapshot: Snapshot) -> dict[str, Any]:
    """The columns of poses that a run replaces, in the file's own units; none if it kept them."""
    poses = snapshot.poses
    return {} if poses is None else dict(file.pose_columns(poses.rotations, poses.shifts))


def write_particles(
    file: ParticleFile, snapshot: Snapshot, out: Path, drawn: dict[str, Any] | None = None
) -> None:
    """Write ``particles.star`` of a run folder: the file's rows, what is known now, and draws.

    What an earlier run found and this one does not say is left out: it would look like its own.
    """
    columns = particle_columns(snapshot) | pose_columns_of(file, snapshot) | (drawn or {})
    of_others = [c for c in map(str, file.table) if c.startswith(_OURS) and c not in columns]
    file.write(out / "particles.star", columns, overwrite=True, without=of_others)
