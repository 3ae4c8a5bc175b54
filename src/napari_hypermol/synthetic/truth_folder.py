"""What a molecule must have to be simulated, and its true maps in a folder (truth/).

Not here: true states and poses of the particles, which are in truth.star (`simulate`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import yaml
from numpy.typing import NDArray

from napari_hypermol.io.mrc import write_volume
from napari_hypermol.synthetic.gaussians import Hinge, StateKind
from napari_hypermol.synthetic.occupancies import OCCUPANCIES

__all__ = ["Projected", "WrittenComponent", "WrittenMolecule", "write_truth"]

TRUTH_STATES = 21  # states at which the true maps are written; 5 % of the range apart


class Projected(Protocol):
    """A molecule as the simulation sees it."""

    @property
    def dims(self) -> int:
        """Number of state coordinates."""
        ...

    def projections_ft(
        self, rotations: NDArray[np.float64], states: NDArray[np.float64], box_size: int
    ) -> NDArray[np.complex64]:
        """Unitary transforms of projections on the whole half plane; (n, y, x // 2 + 1)."""
        ...


class WrittenComponent(Protocol):
    """A component, to write its true maps; see `gaussians.GaussianComponent`."""

    @property
    def name(self) -> str:
        """Also of its files."""
        ...

    @property
    def has_state(self) -> bool:
        """Whether it moves."""
        ...

    @property
    def kind(self) -> StateKind:
        """Of its state."""
        ...

    @property
    def populations(self) -> tuple[float, ...]:
        """Of its classes."""
        ...

    def volume(self, state: float, box_size: int) -> NDArray[np.float32]:
        """Density on the voxels of the box at one state; (z, y, x)."""
        ...


class WrittenMolecule(Projected, Protocol):
    """A molecule whose truth can be written; see `gaussians.GaussianMolecule`."""

    @property
    def components(self) -> Sequence[WrittenComponent]:
        """All of them."""
        ...

    @property
    def hinge(self) -> Hinge | None:
        """About what one of them turns rigidly."""
        ...

    @property
    def symmetry(self) -> str:
        """Point group, nearly."""
        ...


def write_truth(
    molecule: WrittenMolecule,
    grid: tuple[int, float],
    noise_std: float,
    folder: Path,
    occupancy: str = "uniform",
) -> None:
    """Write true maps of every component at `TRUTH_STATES` states, and ``truth.yaml``.

    Parameters
    ----------
    molecule : WrittenMolecule
    grid : (box_size, pixel_size)
        [voxels], [Å].
    noise_std : float
        Maps are divided by it: they are on the scale of images with noise of unit variance.
    folder : Path
        Made if it is not there.
    occupancy : str
        How the continuous states are distributed, of `OCCUPANCIES`.
    """
    box_size, pixel_size = grid
    folder.mkdir(exist_ok=True)
    listing = []
    for component in molecule.components:
        names = []
        states = _map_states(component)
        for index, state in enumerate(states):
            name = component.name + (f"_{index:02d}.mrc" if component.has_state else ".mrc")
            volume = component.volume(float(state), box_size) / np.float32(noise_std)
            write_volume(folder / name, volume, pixel_size, overwrite=True)
            names.append(name)
        entry: dict[str, object] = {"name": component.name, "volumes": names}
        if component.has_state:
            entry |= {"kind": component.kind, "states": [round(float(s), 6) for s in states]}
            entry |= _distribution(component, occupancy)
        listing.append(entry)
    facts: dict[str, object] = {"components": listing, "occupancy": occupancy}
    if molecule.symmetry != "C1":
        facts["symmetry"] = molecule.symmetry
    if molecule.hinge is not None:
        facts["hinge"] = {
            "component": molecule.hinge.component,
            "axis": [round(v, 6) for v in molecule.hinge.axis],
            "pivot": [round(v * pixel_size, 4) for v in molecule.hinge.pivot],
            "angles": list(molecule.hinge.angles),
        }
    (folder / "truth.yaml").write_text(yaml.safe_dump(facts, sort_keys=False))


def _map_states(component: WrittenComponent) -> NDArray[np.float64]:
    """Where true maps are written: over the whole range, both ends; in every class; or once."""
    if not component.has_state:
        return np.zeros(1)
    if component.kind == "class":
        return (np.arange(len(component.populations)) + 0.5) / len(component.populations)
    return np.linspace(0, 1, TRUTH_STATES)


def _distribution(component: WrittenComponent, occupancy: str) -> dict[str, object]:
    """The true distribution of a state: shares of classes, or a mixture of Beta densities."""
    if component.kind == "class":
        return {"populations": list(component.populations)}
    return {"betas": [list(entry) for entry in OCCUPANCIES[occupancy]]}
