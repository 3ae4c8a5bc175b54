"""Trajectories f^m: how a component moves as a whole with its state, Eq. (26)-(27).

A trajectory places the component's own frame into the molecule's, r = P(tau) x + s(tau), lengths in
voxels of the box from its centre. Its parameters may be given or learned: `twists` is the
derivative of the placement with respect to those that are learned.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import RecipeError
from napari_hypermol.protocols import StateKind

__all__ = ["RigidTrajectory", "Translation", "Turn", "cross_matrix", "rotations_about"]

Float64 = NDArray[np.float64]


def cross_matrix(vectors: Float64) -> Float64:
    """[v]x with [v]x w = v x w; (..., 3) -> (..., 3, 3)."""
    v = np.asarray(vectors, dtype=np.float64)
    out = np.zeros((*v.shape[:-1], 3, 3))
    out[..., 0, 1], out[..., 0, 2], out[..., 1, 2] = -v[..., 2], v[..., 1], -v[..., 0]
    return np.asarray(out - np.swapaxes(out, -1, -2))


def rotations_about(axis: Float64, angles: Float64) -> Float64:
    """Rotations by `angles` (t,) [rad] about a unit `axis` (3,); (t, 3, 3), Rodrigues."""
    k = cross_matrix(axis)
    sine, versine = np.sin(angles)[:, None, None], 1 - np.cos(angles)[:, None, None]
    return np.asarray(np.eye(3) + sine * k + versine * (k @ k))


class _Placed(NamedTuple):
    rotations: Float64  # (t, 3, 3)
    shifts: Float64  # (t, 3)


@dataclass(frozen=True, eq=False)
class Turn:
    """A rigid turn about a hinge, phi(tau) = sum_j angles[j] (2 tau - 1)^(j + 1).

    Parameters
    ----------
    axis : (3,) float ndarray
        Direction of the hinge, a unit vector (x, y, z).
    pivot : (3,) float ndarray
        A point on the hinge [voxels from the box centre]; sliding it along the axis is no change.
    angles : (j,) float ndarray
        [rad].
    learns_axis, learns_pivot, learns_angles : bool
        Which of them are learned.
    gives_axis, gives_pivot, gives_angles : bool
        Which of those begin where they are, instead of where a search for the motion puts them.
    """

    axis: Float64
    pivot: Float64
    angles: Float64
    learns_axis: bool = True
    learns_pivot: bool = True
    learns_angles: bool = True
    gives_axis: bool = False
    gives_pivot: bool = False
    gives_angles: bool = False

    def as_given(self) -> "Turn":
        """The same turn, with what is given not learned."""
        return replace(
            self,
            learns_axis=self.learns_axis and not self.gives_axis,
            learns_pivot=self.learns_pivot and not self.gives_pivot,
            learns_angles=self.learns_angles and not self.gives_angles,
        )

    def _powers(self, states: Float64) -> Float64:
        x = 2 * states[:, :1] - 1
        return np.asarray(x ** np.arange(1, len(self.angles) + 1))

    def _across(self) -> Float64:
        """Two unit vectors across the axis; (2, 3)."""
        first = np.cross(self.axis, np.eye(3)[np.abs(self.axis).argmin()])
        first /= np.linalg.norm(first)
        return np.stack([first, np.cross(self.axis, first)])

    def placements(self, states: Float64) -> _Placed:
        """P = exp(phi [axis]), s = pivot - P pivot; states (t, 1)."""
        rotations = rotations_about(self.axis, self._powers(states) @ self.angles)
        return _Placed(rotations, self.pivot - rotations @ self.pivot)

    def twists(self, states: Float64) -> Float64:
        """Own-frame twist (omega, v) by each learned parameter; (t, 6, p)."""
        powers = self._powers(states)
        angles = powers @ self.angles
        rotations = self.placements(states).rotations
        pieces = []
        if self.learns_axis:
            for across in self._across():
                turned = np.sin(angles)[:, None] * across
                turned -= (1 - np.cos(angles))[:, None] * np.cross(self.axis, across)
                pieces.append(np.concatenate([turned, -np.cross(turned, self.pivot)], axis=1))
        if self.learns_pivot:
            for across in self._across():
                moved = np.swapaxes(rotations, 1, 2) @ across - across
                pieces.append(np.concatenate([np.zeros_like(moved), moved], axis=1))
        if self.learns_angles:
            unit = np.concatenate([self.axis, -np.cross(self.axis, self.pivot)])
            pieces += [power[:, None] * unit for power in powers.T]
        return np.stack(pieces, axis=2) if pieces else np.zeros((len(states), 6, 0))

    def moved(self, step: Float64) -> "Turn":
        """The turn after a step of its learned parameters, in the order of `twists`."""
        axis, pivot, angles, rest = self.axis, self.pivot, self.angles, list(step)
        across = self._across()
        if self.learns_axis:
            axis = axis + np.array([rest.pop(0), rest.pop(0)]) @ across
            axis = axis / np.linalg.norm(axis)
        if self.learns_pivot:
            pivot = pivot + np.array([rest.pop(0), rest.pop(0)]) @ across
        if self.learns_angles:
            angles = angles + np.array(rest)
        return replace(self, axis=axis, pivot=pivot, angles=angles)


@dataclass(frozen=True, eq=False)
class Translation:
    """A translation that is polynomial in the state, s(tau) = sum_j (2 tau - 1)^e_j vectors[j].

    Parameters
    ----------
    vectors : (j, 3) float ndarray
        [voxels].
    exponents : (j, d) int ndarray
        Of every state coordinate; never all zero: a constant shift is the density's own.
    learns : bool
    gives : bool
        Whether they begin where they are though they are learned.
    """

    vectors: Float64
    exponents: NDArray[np.int64]
    learns: bool = True
    gives: bool = False

    def as_given(self) -> "Translation":
        """The same translation, not learned if it is given."""
        return replace(self, learns=self.learns and not self.gives)

    @property
    def dims(self) -> int:
        """State coordinates, 1 or 2."""
        return int(self.exponents.shape[1])

    def _monomials(self, states: Float64) -> Float64:
        x = 2 * states[:, None, :] - 1
        return np.asarray((x**self.exponents).prod(axis=2))

    def placements(self, states: Float64) -> _Placed:
        """P = 1."""
        shifts = self._monomials(states) @ self.vectors
        return _Placed(np.tile(np.eye(3), (len(states), 1, 1)), shifts)

    def twists(self, states: Float64) -> Float64:
        """Own-frame twist by each learned parameter; (t, 6, p)."""
        if not self.learns:
            return np.zeros((len(states), 6, 0))
        monomials = self._monomials(states)
        out = np.zeros((len(states), 6, len(self.vectors), 3))
        for axis in range(3):
            out[:, 3 + axis, :, axis] = monomials
        return out.reshape(len(states), 6, -1)

    def moved(self, step: Float64) -> "Translation":
        """The translation after a step of its learned parameters."""
        return replace(self, vectors=self.vectors + step.reshape(-1, 3)) if self.learns else self


@dataclass(frozen=True, eq=False)
class RigidTrajectory:
    """A turn, a translation, or one after the other on the same state.

    Parameters
    ----------
    turn : Turn or None
    translation : Translation or None
        Applied after the turn, in the molecule's frame.
    """

    turn: Turn | None = None
    translation: Translation | None = None

    def __post_init__(self) -> None:
        if self.turn is None and self.translation is None:
            raise RecipeError("a trajectory is a turn, a translation or both")
        if self.turn is not None and self.translation is not None and self.translation.dims != 1:
            raise RecipeError("a translation that goes with a turn has one state")

    @property
    def dims(self) -> int:
        """State coordinates."""
        return 1 if self.translation is None else self.translation.dims

    @property
    def kinds(self) -> tuple[StateKind, ...]:
        """Intervals."""
        return tuple("interval" for _ in range(self.dims))

    @property
    def n_learned(self) -> int:
        """Number of learned parameters, p."""
        return int(self.twists(np.full((1, self.dims), 0.5)).shape[2])

    @property
    def is_learned(self) -> bool:
        """Whether any parameter is to be found."""
        return self.n_learned > 0

    def placements(self, states: Float64) -> _Placed:
        """Rotations P and shifts s at `states` (t, d): r = P x + s."""
        if self.turn is None:
            assert self.translation is not None
            return self.translation.placements(states)
        placed = self.turn.placements(states)
        if self.translation is None:
            return placed
        return _Placed(placed.rotations, placed.shifts + self.translation.placements(states).shifts)

    def twists(self, states: Float64) -> Float64:
        """Own-frame twist (omega, v) of each learned parameter at `states`; (t, 6, p).

        A change dp of the parameters moves the point x of the component's own frame by
        omega x + v in that frame, (omega, v) = twists @ dp.
        """
        if self.turn is None:
            assert self.translation is not None
            return self.translation.twists(states)
        turned = self.turn.twists(states)
        if self.translation is None:
            return turned
        shifted = self.translation.twists(states)
        back = np.swapaxes(self.turn.placements(states).rotations, 1, 2)
        shifted[:, 3:] = back @ shifted[:, 3:]
        return np.concatenate([turned, shifted], axis=2)

    def moved(self, step: Float64) -> "RigidTrajectory":
        """The trajectory after a step of its learned parameters, in the order of `twists`."""
        turn, translation = self.turn, self.translation
        if turn is not None:
            count = turn.twists(np.full((1, 1), 0.5)).shape[2]
            turn, step = turn.moved(step[:count]), step[count:]
        if translation is not None:
            translation = translation.moved(step)
        return RigidTrajectory(turn, translation)

    def as_given(self) -> "RigidTrajectory":
        """The same trajectory, with what is given not learned: what is left must be searched."""
        return RigidTrajectory(
            None if self.turn is None else self.turn.as_given(),
            None if self.translation is None else self.translation.as_given(),
        )

    # ---- what is learned, as plain numbers ------------------------------------------------------

    def values(self) -> dict[str, Any]:
        """Parameters as lists of numbers [voxels, rad], for a file."""
        out: dict[str, Any] = {}
        if self.turn is not None:
            out["axis"] = self.turn.axis.tolist()
            out["pivot"] = self.turn.pivot.tolist()
            out["angles"] = self.turn.angles.tolist()
        if self.translation is not None:
            out["vectors"] = self.translation.vectors.tolist()
        return out

    def with_values(self, values: dict[str, Any]) -> "RigidTrajectory":
        """The same kind of trajectory with other parameters, as `values` gives them."""
        turn, translation = self.turn, self.translation
        if turn is not None:
            turn = replace(
                turn,
                axis=_numbers(values["axis"]),
                pivot=_numbers(values["pivot"]),
                angles=_numbers(values["angles"]),
            )
        if translation is not None:
            translation = replace(translation, vectors=_numbers(values["vectors"]))
        return RigidTrajectory(turn, translation)


def _numbers(values: Any) -> Float64:
    return np.array(values, dtype=np.float64)
