"""What a black-box molecule must keep to, tried out before a run relies on it (Section 3.6)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.grids import FourierSamples, fourier_samples
from napari_hypermol.errors import BlackBoxError
from napari_hypermol.protocols import BlackBox

__all__ = ["check_black_box"]

Float64 = NDArray[np.float64]
_MEMBERS = {
    "box_size": "the edge of the images in pixels",
    "dims": "the number of state coordinates",
    "n_coefficients": "the length of theta",
    "slices": "slices(theta, rotations, states, samples)",
    "slices_adjoint": "slices_adjoint(theta, values, rotations, states, samples)",
    "log_prior": "log_prior(theta)",
}
_LEAST = {"box_size": 2, "dims": 0, "n_coefficients": 1}
_STEP = 1e-3  # of the difference quotient, relative: central, so it errs by 1e-6 where smooth
# Slices may be float32: 1e-7 / _STEP = 1e-4. A forgotten factor or term is far beyond 5 %.
_TOLERANCE = 0.05


def check_black_box(molecule: BlackBox, theta: Any, rng: np.random.Generator) -> None:
    """Refuse a molecule that lacks a member, gives wrong shapes or NaN, or a wrong gradient.

    Parameters
    ----------
    molecule : BlackBox
    theta : (p,) float array_like
        Where to try it.
    rng : Generator
        For a few rotations, states and one direction.

    Raises
    ------
    BlackBoxError
        One sentence: the member, what was expected, what came.
    """
    _check_members(molecule)
    theta = _array("theta", theta, (molecule.n_coefficients,))
    samples = fourier_samples(molecule.box_size, min(6.0, molecule.box_size / 4))
    rotations = np.stack([_rotation(rng) for _ in range(3)])
    states = rng.uniform(size=(3, molecule.dims))
    slices = _slices(molecule, theta, rotations, states, samples)
    arguments = (rotations, states, samples)
    adjoint = molecule.slices_adjoint(theta, slices, *arguments)
    _array("slices_adjoint", adjoint, theta.shape)
    prior = molecule.log_prior(theta)
    if not (isinstance(prior, tuple) and len(prior) == 2):
        raise BlackBoxError(
            f"black box: log_prior returned {_said(prior)}, expected a number and its gradient"
        )
    _array("log_prior's value", prior[0], ())
    _array("log_prior's gradient", prior[1], theta.shape)
    size = np.abs(theta).mean()
    step = (
        _STEP * (np.abs(theta) + 0.1 * size + 0.1 * (size == 0)) * rng.choice([-1, 1], len(theta))
    )
    _check_slices_adjoint(molecule, theta, step, arguments)
    _check_prior(molecule, theta, step)


def _check_members(molecule: BlackBox) -> None:
    for name, meaning in _MEMBERS.items():
        if not hasattr(molecule, name):
            raise BlackBoxError(
                f"black box: {type(molecule).__name__} has no {name}, expected {meaning}"
            )
    for name, least in _LEAST.items():
        value = getattr(molecule, name)
        if not isinstance(value, int | np.integer) or value < least:
            raise BlackBoxError(
                f"black box: {name} is {value!r}, expected a whole number from {least} on"
            )


def _slices(
    molecule: BlackBox, theta: Float64, rotations: Float64, states: Float64, samples: FourierSamples
) -> Any:
    slices = molecule.slices(theta, rotations, states, samples)
    _array("slices", slices, (len(rotations), len(samples.kx)), is_complex=True)
    return slices


def _check_slices_adjoint(
    molecule: BlackBox, theta: Float64, step: Float64, arguments: tuple[Any, ...]
) -> None:
    """Both sides of Re sum conj(dS) v = step . adjoint(v), with v = dS so that neither is small."""
    ahead = _slices(molecule, theta + step, *arguments)
    change = (ahead - _slices(molecule, theta - step, *arguments)) / 2
    seen = float((np.abs(change) ** 2).sum())
    told = float(step @ np.asarray(molecule.slices_adjoint(theta, change, *arguments)))
    if abs(told - seen) > _TOLERANCE * seen:
        raise BlackBoxError(
            f"black box: slices_adjoint is not the gradient of slices: along a random direction "
            f"it says {told:.4g}, a quotient {seen:.4g}"
        )


def _check_prior(molecule: BlackBox, theta: Float64, step: Float64) -> None:
    """Only where the prior changes by more than the step can hide."""
    ahead, behind = molecule.log_prior(theta + step)[0], molecule.log_prior(theta - step)[0]
    gradient = np.asarray(molecule.log_prior(theta)[1], dtype=np.float64)
    seen, told = float(ahead - behind) / 2, float(step @ gradient)
    scale = np.abs(step * gradient).sum() + 1e-9 * (abs(ahead) + 1)
    if abs(told - seen) > _TOLERANCE * max(scale, abs(seen)):
        raise BlackBoxError(
            f"black box: log_prior's gradient is not that of its value: along a random direction "
            f"it says {told:.4g}, a quotient {seen:.4g}"
        )


def _array(name: str, value: Any, shape: tuple[int, ...], is_complex: bool = False) -> Any:
    """The value as an array, if it has the shape and is finite."""
    kinds = "c" if is_complex else "fiu"
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in kinds or array.shape != shape:
        kind = "complex numbers" if is_complex else "numbers"
        raise BlackBoxError(
            f"black box: {name} returned {_said(value)}, expected {kind} of shape {shape}"
            if name != "theta"
            else f"black box: theta is {_said(value)}, expected {kind} of shape {shape}"
        )
    if not np.isfinite(array).all():
        raise BlackBoxError(f"black box: {name} is not finite everywhere; look for overflow or 0/0")
    return array if is_complex else array.astype(np.float64)


def _said(value: Any) -> str:
    """What came, in a few words."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__


def _rotation(rng: np.random.Generator) -> Float64:
    """A rotation, uniform: QR of a normal matrix with its signs fixed."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    return np.asarray(q * np.sign(np.linalg.det(q)), dtype=np.float64)
