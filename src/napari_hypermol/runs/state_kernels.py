"""States moved by steps of a named kernel, not drawn from a table; contrasts drawn after.

The contrast is summed out of every step, and b and G are those of one pose: a step costs no slice.
States need not be entries of a table, so the steps also tell states apart that a table does not.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior.state_gradient import state_evidence
from napari_hypermol.posterior.states import StateTable
from napari_hypermol.runs.pose_guide import state_functions
from napari_hypermol.runs.step_sizes import StepSizes, gradient_steps
from napari_hypermol.samplers.adaptation import WALK_ACCEPTANCE
from napari_hypermol.samplers.conjugate import contrasts
from napari_hypermol.samplers.folding import fold, unfolded
from napari_hypermol.samplers.metropolis import start, state_walk
from napari_hypermol.samplers.state_draws import StateDraw

__all__ = ["StateKernel", "move_states"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
StateKernel = Literal["metropolis", "mala", "hmc"]
_FIRST = {"metropolis": 0.2, "mala": 0.01, "hmc": 0.1}  # a state that an image tells to a tenth
_LEAPFROG = 6


def move_states(
    rng: np.random.Generator,
    b: Float32,
    g: Float32,
    molecule: LinearMolecule,
    tables: tuple[StateTable, ...],
    contrast_std: float,
    last: StateDraw,
    kernel: StateKernel,
    n_steps: int,
    sizes: StepSizes,
) -> tuple[StateDraw, StepSizes, float]:
    """Steps of all states together, then new contrasts.

    Parameters
    ----------
    rng : Generator
    b : (n, q) float32 ndarray
    g : (n, q, q) float32 ndarray
    molecule : LinearMolecule
    tables : tuple of StateTable
        Their log prior is a density that is constant in the part of an entry.
    contrast_std : float
    last : StateDraw
        Where they begin.
    kernel : {"metropolis", "mala", "hmc"}
        The last two not for classes, which have no slope; over the positions of a trajectory, which
        are steps, they are walks.
    n_steps : int
    sizes : StepSizes

    Returns
    -------
    drawn : StateDraw
    sizes : StepSizes
    rate : float
        Mean acceptance.
    """
    kinds = [kind for table in tables for kind in table.kinds]
    prior = _LogPrior(tables)
    sizes = sizes.begun(f"state {kernel}", _FIRST[kernel])

    def both(states: Float64) -> tuple[Float64, Float64]:
        functions, slopes, _ = state_functions(molecule, states)
        value, over_c = state_evidence(b, g, functions, contrast_std)
        return value + prior(states), np.einsum("ndq,nq->nd", slopes, over_c)

    if kernel == "metropolis":
        chain, rates = start(last.states, lambda x: both(x)[0]), []
        for _ in range(n_steps):
            size = sizes.of("state metropolis")
            chain, info = state_walk(rng, chain, lambda x: both(x)[0], size, kinds)
            sizes = sizes.told("state metropolis", info.acceptance_rate, WALK_ACCEPTANCE)
            rates.append(info.acceptance_rate.mean())
        states, rate = chain.value, float(np.mean(rates))
    else:
        on_line = unfolded(both, kinds)
        value, sizes, rate = gradient_steps(
            rng, kernel, "state", last.states, on_line, n_steps, sizes, _LEAPFROG
        )
        states, _ = fold(value, kinds)
    functions, _, _ = state_functions(molecule, states)
    linear = np.einsum("nq,nq->n", functions, b)
    square = np.maximum(np.einsum("nq,nqr,nr->n", functions, g, functions, optimize=True), 0.0)
    a = contrasts(rng.random(len(b)), linear, square, contrast_std)
    log_likelihood = a * linear - 0.5 * a**2 * square
    drawn = StateDraw(prior.entries(states), functions, a, log_likelihood, states)
    return drawn, sizes, rate


class _LogPrior:
    """Of states anywhere in [0, 1]: that of the table's entry in whose part they are."""

    def __init__(self, tables: tuple[StateTable, ...]) -> None:
        self._tables = tables
        self._trees = [cKDTree(table.states) for table in tables]
        self._is_uniform = all(np.ptp(table.log_prior) == 0 for table in tables)

    def entries(self, states: Float64) -> NDArray[np.int64]:
        """(n, d) -> (n, tables)."""
        columns, start = [], 0
        for table, tree in zip(self._tables, self._trees, strict=True):
            dims = table.states.shape[1]
            _, nearest = tree.query(states[:, start : start + dims])
            columns.append(nearest)
            start += dims
        return np.stack(columns, axis=1).astype(np.int64)

    def __call__(self, states: Float64) -> Float64:
        """(n, d) -> (n,)."""
        if self._is_uniform:
            return np.zeros(len(states))
        entries = self.entries(states)
        pairs = zip(self._tables, entries.T, strict=True)
        return np.asarray(sum(table.log_prior[own] for table, own in pairs))
