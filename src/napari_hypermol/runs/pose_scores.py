"""How well found poses agree with true ones.

Aligned over the gauge first: nobody knows how the molecule stands in space, where its centre is,
nor, from projections alone, its hand; and a symmetric molecule looks the same from several sides.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_hypermol.errors import ShapeError

__all__ = ["MIRROR", "PoseScores", "pose_scores"]

Float64 = NDArray[np.float64]
MIRROR = np.diag([1.0, 1.0, -1.0])
_CANDIDATES = 50
_KERNEL = 10.0  # [degrees] how near to a candidate a particle must be to speak for it
_ALIGNED = 15.0  # [degrees] within this a pose counts as found
_LEAST = 0.1  # share of the particles that are averaged, however bad they are
_ROUNDS = 20


class PoseScores(NamedTuple):
    """How found poses lie to the true ones.

    With C = G M if mirrored, else G, the point r of the true molecule is C r + o of the found one,
    and of a pose without errors G = R_found^T M R_true S M (no M if not mirrored), S one of the
    symmetry's rotations, and s_true - s_found = (R_found o)_xy.

    Attributes
    ----------
    rotation : (3, 3) float64 ndarray
        G; most particles have the identity for S.
    is_mirrored : bool
    offset : (3,) float64 ndarray
        o [pixels].
    angles : (n,) float64 ndarray
        Angle of the error of each rotation, 0 to 180 [degrees].
    angles_modulo_symmetry : (n,) float64 ndarray
        The smallest over S.
    operations : (n,) int64 ndarray
        Which S that is.
    shift_errors : (n,) float64 ndarray
        Length of the error of each shift [pixels].
    """

    rotation: Float64
    is_mirrored: bool
    offset: Float64
    angles: Float64
    angles_modulo_symmetry: Float64
    operations: NDArray[np.int64]
    shift_errors: Float64

    @property
    def median_angle(self) -> float:
        """Of `angles` [degrees]."""
        return float(np.median(self.angles))

    @property
    def median_shift_error(self) -> float:
        """Of `shift_errors` [pixels]."""
        return float(np.median(self.shift_errors))

    @property
    def is_aligned(self) -> NDArray[np.bool_]:
        """Which rotations are right within 15 degrees, modulo the symmetry; (n,)."""
        return self.angles_modulo_symmetry <= _ALIGNED

    @property
    def frame(self) -> Float64:
        """C, from true to found coordinates, without the offset; (3, 3)."""
        return self.rotation @ MIRROR if self.is_mirrored else self.rotation

    def within(self, degrees: float, modulo_symmetry: bool = False) -> float:
        """Share of the particles whose rotation is right within an angle."""
        angles = self.angles_modulo_symmetry if modulo_symmetry else self.angles
        return float(np.mean(angles <= degrees))


def pose_scores(
    found: tuple[Float64, Float64],
    true: tuple[Float64, Float64],
    symmetry: Float64 | None = None,
    allow_mirror: bool = True,
) -> PoseScores:
    """Compare found poses with true ones, after the best rotation, hand and offset.

    Parameters
    ----------
    found, true : (rotations, shifts)
        (n, 3, 3), molecule to image; (n, 2), (x, y) [pixels].
    symmetry : (g, 3, 3) float64 ndarray, optional
        Rotations that bring the true molecule onto itself, the identity first.
    allow_mirror : bool
        Whether the found molecule may be the mirror image of the true one.

    Returns
    -------
    PoseScores

    Raises
    ------
    ShapeError
        If the two are not poses of the same number of particles.

    Notes
    -----
    The projection of V along z under R is that of V(M r), M = diag(1, 1, -1), under M R M: the
    line of points (x, y, z) of the image is the same line, gone through the other way. So both
    hands fit all images, and which one was found shows only in whether one G brings all found
    rotations onto the true ones.

    G is looked for among those of 50 particles; the best of them is then the mean over all
    particles within 15 degrees, again and again. Rotations that are wrong altogether do not
    count. The offset is a least-squares fit to the shifts of the particles within 15 degrees,
    without those more than three medians off.
    """
    rotations, shifts = (np.asarray(a, dtype=np.float64) for a in found)
    true_rotations, true_shifts = (np.asarray(a, dtype=np.float64) for a in true)
    n = len(rotations)
    if (
        not n
        or {rotations.shape, true_rotations.shape} != {(n, 3, 3)}
        or ({shifts.shape, true_shifts.shape} != {(n, 2)})
    ):
        raise ShapeError(
            f"poses of shapes {rotations.shape}, {shifts.shape} and {true_rotations.shape}, "
            f"{true_shifts.shape}; expected (n, 3, 3), (n, 2) twice"
        )
    group = np.eye(3)[None] if symmetry is None else np.asarray(symmetry, dtype=np.float64)
    fits = []
    for is_mirrored in (False, True)[: 1 + allow_mirror]:
        bring = _bring(rotations, true_rotations, group, is_mirrored)
        fits.append((*_common(bring), is_mirrored))
    rotation, _, is_mirrored = max(fits, key=lambda fit: fit[1])
    rotation = _without_operation(rotation, rotations, true_rotations, group, is_mirrored)
    angles = _angles(rotation[None], _bring(rotations, true_rotations, group, is_mirrored))[0]
    nearest = angles.min(axis=1)
    offset, residual = _offset(rotations, true_shifts - shifts, nearest)
    return PoseScores(
        rotation=rotation,
        is_mirrored=is_mirrored,
        offset=offset,
        angles=angles[:, 0],
        angles_modulo_symmetry=nearest,
        operations=angles.argmin(axis=1),
        shift_errors=np.linalg.norm(residual, axis=1),
    )


def _bring(found: Float64, true: Float64, group: Float64, is_mirrored: bool) -> Float64:
    """G of every particle and operation, were it alone; (n, g, 3, 3)."""
    turned = true[:, None] @ group
    if is_mirrored:
        turned = MIRROR @ turned @ MIRROR
    return np.asarray(found.swapaxes(1, 2)[:, None] @ turned)


def _angles(rotations: Float64, bring: Float64) -> Float64:
    """Angles between rotations (c, 3, 3) and those of the particles (n, g, 3, 3); (c, n, g)."""
    traces = rotations.reshape(-1, 9) @ bring.reshape(-1, 9).T
    angles = np.degrees(np.arccos(np.clip((traces - 1) / 2, -1, 1)))
    return np.asarray(angles.reshape(len(rotations), *bring.shape[:2]))


def _common(bring: Float64) -> tuple[Float64, float]:
    """The rotation that most particles agree on, and how many do, 0 to 1."""
    n = len(bring)
    # the same particles every time; any will do
    chosen = np.random.default_rng(0).choice(n, min(n, _CANDIDATES), replace=False)
    candidates = bring[chosen, 0]
    support = [_support(_angles(one[None], bring)[0].min(axis=1)) for one in candidates]
    rotation = candidates[int(np.argmax(support))]
    for _ in range(_ROUNDS):
        angles = _angles(rotation[None], bring)[0]
        own = bring[np.arange(n), angles.argmin(axis=1)]
        nearest = angles.min(axis=1)
        kept = nearest <= max(_ALIGNED, float(np.quantile(nearest, _LEAST)))
        before, rotation = rotation, Rotation.from_matrix(own[kept]).mean().as_matrix()
        if np.allclose(before, rotation, atol=1e-12):
            break
    return rotation, _support(_angles(rotation[None], bring)[0].min(axis=1))


def _support(angles: Float64) -> float:
    return float(np.mean(np.exp(-0.5 * (angles / _KERNEL) ** 2)))


def _without_operation(
    rotation: Float64, found: Float64, true: Float64, group: Float64, is_mirrored: bool
) -> Float64:
    """The same rotation, such that most particles have the identity for their operation."""
    angles = _angles(rotation[None], _bring(found, true, group, is_mirrored))[0]
    near = angles.min(axis=1) <= max(_ALIGNED, float(angles.min()))
    most = int(np.bincount(angles.argmin(axis=1)[near]).argmax())
    operation = MIRROR @ group[most] @ MIRROR if is_mirrored else group[most]
    return np.asarray(rotation @ operation.T)


def _offset(rotations: Float64, difference: Float64, angles: Float64) -> tuple[Float64, Float64]:
    """The offset that explains the differences of the shifts, and what it leaves; (3,), (n, 2)."""
    kept = angles <= max(_ALIGNED, float(np.quantile(angles, _LEAST)))
    offset: Float64 = np.zeros(3)
    residual = difference
    for _ in range(_ROUNDS):
        rows = rotations[kept, :2].reshape(-1, 3)
        offset = np.asarray(np.linalg.lstsq(rows, difference[kept].reshape(-1), rcond=None)[0])
        residual = difference - rotations[:, :2] @ offset
        length = np.linalg.norm(residual, axis=1)
        near = angles <= max(_ALIGNED, float(np.quantile(angles, _LEAST)))
        before, kept = kept, near & (length <= 3 * np.median(length[near]) + 1e-9)
        if (before == kept).all():
            break
    return offset, residual
