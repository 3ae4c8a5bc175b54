"""Molecules made of moving Gaussians, whose projections are known in closed form (Section 3.1).

The pixel-free truth behind every simulated molecule. Positions are in voxels of the box from its
centre, so a molecule scales with the box.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["GaussianComponent", "GaussianMolecule", "Hinge", "StateKind"]

Float64 = NDArray[np.float64]
StateKind = Literal["interval", "circle", "class"]


class Hinge(NamedTuple):
    """About what a component turns rigidly.

    Attributes
    ----------
    component : str
    axis : (x, y, z)
        Unit vector.
    pivot : (x, y, z)
        A point of the axis, from the box centre [voxels].
    angles : (first, last)
        Turn at states 0 and 1 [degrees]; linear between.
    """

    component: str
    axis: tuple[float, float, float]
    pivot: tuple[float, float, float]
    angles: tuple[float, float]


@dataclass(frozen=True)
class GaussianComponent:
    """A component whose Gaussians move with its state.

    Parameters
    ----------
    name : str
    centres : callable
        State in [0, 1], (n,) -> centres (n, g, 3) (x, y, z) [voxels]. A rigid component ignores
        the state.
    amplitudes, widths : (g,) float64 ndarray
        Peak density and standard deviation [voxels].
    has_state : bool
    kind : {"interval", "circle", "class"}
        What the state is: a range with two ends; a full turn, 0 and 1 being the same; or one of K
        classes, class k standing at (k + 0.5) / K.
    populations : tuple of float
        Shares of the classes; empty for other kinds.
    presence : callable or None
        States (n,) -> factors (n, g) on the amplitudes; None: every Gaussian is always there.
    """

    name: str
    centres: Callable[[Float64], Float64]
    amplitudes: Float64
    widths: Float64
    has_state: bool
    kind: StateKind = "interval"
    populations: tuple[float, ...] = ()
    presence: Callable[[Float64], Float64] | None = None

    def amplitudes_at(self, states: Float64) -> Float64:
        """Peak density of every Gaussian at states (n,); (n, g)."""
        factors = 1.0 if self.presence is None else self.presence(states)
        return np.broadcast_to(factors * self.amplitudes, (len(states), len(self.amplitudes)))

    def volume(self, state: float, box_size: int) -> NDArray[np.float32]:
        """Density on the voxels of the box at one state; (z, y, x)."""
        at = np.arange(box_size) - box_size // 2
        places = self.centres(np.array([state]))[0]
        amplitudes = self.amplitudes_at(np.array([state]))[0]
        # a Gaussian is a product of three, one along each axis
        squares = (at - places[..., None]) ** 2  # (g, 3, box_size)
        x, y, z = np.exp(-squares / (2 * self.widths[:, None, None] ** 2)).transpose(1, 0, 2)
        planes = np.einsum("gz,gy->zyg", amplitudes[:, None] * z, y)
        volume = planes @ x
        return np.asarray(volume, dtype=np.float32)


@dataclass(frozen=True)
class GaussianMolecule:
    """A sum of Gaussian components, each with its own state.

    Parameters
    ----------
    components : tuple of GaussianComponent
    hinge : Hinge or None
        If one of them turns rigidly.
    symmetry : str
        Point group whose rotations bring the molecule nearly onto itself, ``Cn`` or ``Dn``: poses
        that differ by one of them are hard to tell apart.
    """

    components: tuple[GaussianComponent, ...]
    hinge: Hinge | None = None
    symmetry: str = "C1"

    @property
    def dims(self) -> int:
        """Number of state coordinates."""
        return sum(c.has_state for c in self.components)

    def projections_ft(
        self, rotations: Float64, states: Float64, box_size: int
    ) -> NDArray[np.complex64]:
        """Unitary transforms of the projections, in closed form.

        Parameters
        ----------
        rotations : (n, 3, 3) float64 ndarray
            Molecule to image frame.
        states : (n, d) float64 ndarray
            One column for every component that has a state.
        box_size : int

        Returns
        -------
        (n, y, x // 2 + 1) complex64 ndarray
            Unshifted half planes, sum over voxels along z.
        """
        ky = ((np.arange(box_size) + box_size // 2) % box_size - box_size // 2) / box_size
        kx = np.arange(box_size // 2 + 1) / box_size
        total = np.zeros((len(rotations), box_size, box_size // 2 + 1), dtype=np.complex64)
        column = 0
        for component in self.components:
            state = states[:, column] if component.has_state else np.zeros(len(rotations))
            column += component.has_state
            placed = np.einsum("nij,ngj->ngi", rotations[:, :2], component.centres(state))
            widths = component.widths
            unit_mass = (np.sqrt(2 * np.pi) * widths) ** 3 / box_size
            mass = (component.amplitudes_at(state) * unit_mass).astype(np.float32)
            along_y = _line(ky, placed[..., 1], widths) * mass[..., None]
            total += np.swapaxes(along_y, 1, 2) @ _line(kx, placed[..., 0], widths)
        return total


def _line(frequencies: Float64, places: Float64, widths: Float64) -> NDArray[np.complex64]:
    """1-D transform of unit Gaussians at `places` (n, g); (n, g, frequencies)."""
    envelope = np.exp(-2 * (np.pi * widths[:, None] * frequencies) ** 2)
    phases = np.exp(-2j * np.pi * places[..., None] * frequencies)
    return np.asarray(envelope * phases, dtype=np.complex64)
