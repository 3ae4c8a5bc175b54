"""The priors of a recipe, bound to what a run knows at one moment.

Signal spectra, smoothness across states and the penalty on degrees are precisions between state
functions, shell by shell; the others see the density. Strengths are explained in
``docs/guide/priors.md``.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_hypermol.bases.state_algebra import roughness
from napari_hypermol.coordinates.grids import voxel_positions
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior.density_priors import (
    DensityAtStates,
    NonNegativity,
    SolventFlatness,
    Sparsity,
)
from napari_hypermol.posterior.priors import signal_precision
from napari_hypermol.posterior.state_priors import BetaState, updated_probabilities
from napari_hypermol.posterior.states import StateTable
from napari_hypermol.posterior.transport import Transport
from napari_hypermol.protocols import CoefficientPrior, SpatialBasis, StateBasis, Support

__all__ = [
    "PriorSettings",
    "density_priors",
    "given_occupancies",
    "learned_occupancies",
    "precision_priors",
]

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]
_PROBES = 8  # states at which densities are looked at; as many as a knob has distinct maps
# The molecule, for a flat solvent: where the mean map, averaged over 2 voxels, exceeds this share
# of its high densities, and 3 voxels around.
_INSIDE, _AVERAGED, _AROUND = 0.15, 2.0, 3


class PriorSettings(NamedTuple):
    """Strengths of all priors; 0 is off.

    Attributes
    ----------
    ridge : float
        Factor on the estimated precision of all coefficients.
    smooth : float
        Across states, Eq. (24).
    degree : float
        Penalty on high degrees of the state.
    solvent : float
    solvent_mask : Support or None
        The molecule; None: found from the mean map.
    nonnegative, sparse, transport : float
    occupancy : "uniform", "histogram" or (alpha, beta)
    """

    ridge: float = 1.0
    smooth: float = 1.0
    degree: float = 0.0
    solvent: float = 0.0
    solvent_mask: Support | None = None
    nonnegative: float = 0.0
    sparse: float = 0.0
    transport: float = 0.0
    occupancy: Literal["uniform", "histogram"] | tuple[float, float] = "uniform"


def _state_basis(molecule: LinearMolecule, s: int) -> StateBasis:
    return molecule.state_bases[int(np.flatnonzero(molecule.owners == s)[0])]


def precision_priors(
    spectra: list[Float64], molecule: LinearMolecule, settings: PriorSettings
) -> list[Float64]:
    """Prior precision of every coefficient set; (n_shells, q, q) each.

    Functions gain ``smooth E[(dP/dtau)^2] / (100 S_0)``: densities are expected to change by less
    than their own size over a tenth of the state's range; and ``degree q^2 / S_0``.
    """
    priors = []
    for s, spectrum in enumerate(spectra):
        basis = _state_basis(molecule, s)
        penalty = settings.smooth * roughness(basis) / 100
        penalty += settings.degree * np.diag(basis.degrees.astype(np.float64) ** 2)
        priors.append(signal_precision(spectrum, settings.ridge, penalty))
    return priors


def density_priors(
    theta: Float32, molecule: LinearMolecule, settings: PriorSettings
) -> list[list[CoefficientPrior]]:
    """The priors of every coefficient set that look at its density; none while it is empty."""
    strengths = (settings.solvent, settings.nonnegative, settings.sparse, settings.transport)
    if not any(strengths) or not theta.any():
        return [[] for _ in molecule.bases]
    return [
        _of_set(part, basis, _state_basis(molecule, s), molecule.centres[s], settings)
        for s, (part, basis) in enumerate(zip(molecule.split(theta), molecule.bases, strict=True))
    ]


def _of_set(
    part: Float32, basis: SpatialBasis, state: StateBasis, centre: Float64, settings: PriorSettings
) -> list[CoefficientPrior]:
    mean = basis.evaluate(part[:1])[0]
    high = mean[mean > np.quantile(mean, 0.8)]
    scale = float(np.sqrt((high**2).mean())) if high.any() else 0.0
    if scale <= 0:
        return []
    priors: list[CoefficientPrior] = []
    if settings.solvent:
        outside = _outside(mean, basis, centre, settings.solvent_mask)
        priors.append(SolventFlatness(basis, outside, scale, settings.solvent))
    states = state.table(_PROBES)
    densities = DensityAtStates(basis, state.evaluate(states))
    if settings.nonnegative:
        priors.append(NonNegativity(densities, scale, settings.nonnegative))
    if settings.sparse:
        priors.append(Sparsity(densities, scale, settings.sparse))
    if settings.transport and state.dims and "class" not in state.kinds:
        if state.kinds == ("circle",):  # the last state's neighbour is the first, once round
            states = np.concatenate([states, states[:1] + 1])
            densities = DensityAtStates(basis, state.evaluate(states))
        priors.append(Transport(densities, states, scale, settings.transport))
    return priors


def _outside(
    mean: NDArray[np.floating], basis: SpatialBasis, centre: Float64, mask: Support | None
) -> NDArray[np.float32]:
    """1 in the solvent, 0 in the molecule, on the voxels of `basis`."""
    spacing = basis.edge / basis.size
    if mask is not None:
        positions = voxel_positions(basis.size) * spacing + centre
        return np.asarray(1 - mask.values(positions, spacing), dtype=np.float32)
    blurred = ndimage.gaussian_filter(mean, _AVERAGED / spacing)
    inside = blurred > _INSIDE * np.quantile(blurred, 0.99)
    steps = max(round(_AROUND / spacing), 1)
    inside = ndimage.binary_dilation(inside, iterations=steps)
    soft = ndimage.gaussian_filter(inside.astype(np.float32), 0.7)
    return np.asarray(np.clip(1 - soft, 0, 1), dtype=np.float32)


# ---- how states are occupied ---------------------------------------------------------------------


def given_occupancies(
    tables: tuple[StateTable, ...], settings: PriorSettings
) -> tuple[Float64, ...]:
    """Probabilities of every table's states before any are learned; empty: uniform."""
    if isinstance(settings.occupancy, str):
        return ()
    prior = BetaState(*settings.occupancy)
    out = []
    for table in tables:
        continuous = [kind != "class" for kind in table.kinds]
        log_prior = prior.log_prior_on(table.states[:, continuous]) if any(continuous) else 0.0
        probabilities = np.exp(log_prior) * np.ones(len(table.states))
        out.append(probabilities / probabilities.sum())
    return tuple(out)


def learned_occupancies(
    tables: tuple[StateTable, ...], responsibilities: tuple[Float32, ...]
) -> tuple[Float64, ...]:
    """Probabilities of every table's states, from all particles' posteriors; (t,) each."""
    return tuple(
        updated_probabilities(
            p, tuple(len(np.unique(column)) for column in table.states.T), table.kinds
        )
        for p, table in zip(responsibilities, tables, strict=True)
    )
