"""The molecule between two snapshots, ``preview.npz``: for eyes, not to go on from."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.trimming import cut_arrays, cuts_among

__all__ = ["Preview", "forget_preview", "read_preview", "write_preview"]

NAME = "preview.npz"


class Preview(NamedTuple):
    """A molecule in the making.

    Attributes
    ----------
    position, sweep : int
        Stage and sweep that it comes from.
    maps : HyperMaps
    """

    position: int
    sweep: int
    maps: HyperMaps


def write_preview(folder: Path, maps: HyperMaps, row: dict[str, Any]) -> None:
    """Replace the preview in one step.

    Parameters
    ----------
    folder : Path
    maps : HyperMaps
    row : dict
        Of the sweep: its `position`, `sweep`, `max_radius` and `max_degree`.
    """
    facts = {name: row[name] for name in ("position", "sweep", "max_radius", "max_degree")}
    facts["trajectories"] = [t and t.values() for t in maps.molecule.trajectories]
    cuts: Any
    facts["n_cuts"], cuts = cut_arrays(maps.molecule)
    temporary = folder / f".{NAME}.{os.getpid()}"
    with temporary.open("wb") as file:
        np.savez(file, theta=maps.theta, facts=np.array(json.dumps(facts, default=float)), **cuts)
    temporary.replace(folder / NAME)


def read_preview(run: Run) -> Preview | None:
    """The preview of a run; None where there is none that can be read."""
    try:
        with np.load(run.path / NAME) as arrays:
            theta, facts = arrays["theta"], json.loads(str(arrays["facts"]))
            cuts = cuts_among(int(facts["n_cuts"]), arrays)
        limits = facts["max_radius"], facts["max_degree"]
        molecule = run.molecule(*limits, facts["trajectories"], cuts)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None
    if theta.shape != (molecule.n_coefficients,):
        return None
    return Preview(int(facts["position"]), int(facts["sweep"]), HyperMaps(molecule, theta))


def forget_preview(folder: Path) -> None:
    """Remove the preview of a run that is done: its last snapshot says more."""
    (folder / NAME).unlink(missing_ok=True)
