"""One summand V^m of a hypermolecule, Eq. (25): a support, bases, how it moves, where it sits."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.errors import RecipeError
from napari_hypermol.molecules.trajectory import RigidTrajectory, rotations_about
from napari_hypermol.protocols import StateBasis, StateKind, Support

__all__ = ["Component", "rotation_about"]


def rotation_about(axis: tuple[float, float, float], angle: float) -> NDArray[np.float64]:
    """Rotation matrix by `angle` [rad] about `axis` (x, y, z) through the origin."""
    unit = np.array(axis, dtype=np.float64)
    return np.asarray(rotations_about(unit / np.linalg.norm(unit), np.array([angle]))[0])


@dataclass(frozen=True, eq=False)
class Component:
    """A component of a composite hypermolecule.

    Parameters
    ----------
    name : str
    support : Support
        In the frame of the component whose coefficients it uses.
    state_basis : StateBasis
        How its shape changes with its shape state, Eq. (21); `ConstantBasis` for a rigid shape.
    shares : str or None
        Name of the component whose coefficients and trajectory it uses; None for its own.
    rotation : (3, 3) float ndarray
        Placement P about the box centre: V(r) = V_shared(P^-1 (r - s)). Identity for its own.
    shift : (3,) float ndarray
        s, (x, y, z) [voxels].
    trajectory : RigidTrajectory or None
        How it moves as a whole with its position state, Eq. (26).
    is_tied : bool
        Whether shape and position follow one and the same state.
    spatial : {"voxel", "gpswf"}
        Spatial basis.
    is_trimmed : bool
        Whether its support is to be cut down to where density is found.
    """

    name: str
    support: Support
    state_basis: StateBasis
    shares: str | None = None
    rotation: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    shift: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    trajectory: RigidTrajectory | None = None
    is_tied: bool = False
    spatial: Literal["voxel", "gpswf"] = "voxel"
    is_trimmed: bool = False

    def __post_init__(self) -> None:
        moves = self.trajectory is not None
        if self.is_tied and (not moves or isinstance(self.state_basis, ConstantBasis)):
            raise RecipeError(
                f"component {self.name}: a tied state needs both a shape state and a trajectory"
            )
        if self.is_tied and self.trajectory is not None:
            position, shape = self.trajectory.dims, self.state_basis.dims
            if position != shape:
                raise RecipeError(
                    f"component {self.name}: its trajectory has {position} state coordinates, its "
                    f"shape {shape}; tied, they must be the same"
                )

    @property
    def dims(self) -> int:
        """Number of state coordinates: those of its position, then those of its shape."""
        return len(self.kinds)

    @property
    def kinds(self) -> tuple[StateKind, ...]:
        """What every state coordinate is."""
        if self.trajectory is None:
            return self.state_basis.kinds
        if self.is_tied:
            return self.trajectory.kinds
        return (*self.trajectory.kinds, *self.state_basis.kinds)
