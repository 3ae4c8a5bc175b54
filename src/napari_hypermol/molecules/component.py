"""One summand V^m of a hypermolecule, Eq. (25): a support, a state basis, and where it sits."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.protocols import Support

__all__ = ["Component", "rotation_about"]


def rotation_about(axis: tuple[float, float, float], angle: float) -> NDArray[np.float64]:
    """Rotation matrix by `angle` [rad] about `axis` (x, y, z) through the origin."""
    unit = np.array(axis, dtype=np.float64)
    unit /= np.linalg.norm(unit)
    cross = np.array(
        [[0, -unit[2], unit[1]], [unit[2], 0, -unit[0]], [-unit[1], unit[0], 0]], dtype=np.float64
    )
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


@dataclass(frozen=True, eq=False)
class Component:
    """A component of a composite hypermolecule.

    Parameters
    ----------
    name : str
    support : Support
        In the frame of the component whose coefficients it uses.
    state_basis : CosineBasis
        ``dims`` 0 for a rigid component.
    shares : str or None
        Name of the component whose coefficients it uses; None for its own.
    rotation : (3, 3) float ndarray
        Placement P about the box centre: V(r) = V_shared(P^-1 r). Identity for its own.
    """

    name: str
    support: Support
    state_basis: CosineBasis
    shares: str | None = None
    rotation: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))

    @property
    def dims(self) -> int:
        """Number of state coordinates."""
        return self.state_basis.dims
