"""The evidence of a particle under any number of components with states, summed exactly.

`states.table_posterior` knows two components at once, and Gibbs draws know no joint evidence. Here
the other components are held at each of their states in turn: held, a component is rigid.
"""

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import ShapeError
from napari_hypermol.posterior.states import StateTable, table_posterior

__all__ = ["check_joint_states", "joint_log_evidence"]

Float64 = NDArray[np.float64]
# entries of the joint table, some 20 nanoseconds each: 20 ms a particle
_MOST_ENTRIES = 2**20


def check_joint_states(tables: tuple[StateTable, ...]) -> None:
    """Refuse more joint states than can be summed.

    Raises
    ------
    ShapeError
    """
    entries = float(np.prod([len(t.states) for t in tables], dtype=np.float64))
    if entries > _MOST_ENTRIES:
        raise ShapeError(
            f"{len(tables)} components with states have {entries:.2g} joint states, more than the "
            f"{_MOST_ENTRIES:,} that can be summed exactly; give fewer components a state"
        )


def joint_log_evidence(
    b: NDArray[np.float32],
    g: NDArray[np.float32],
    tables: tuple[StateTable, ...],
    contrast_std: float,
) -> Float64:
    """Log likelihood with all states and the contrast integrated out, against the empty molecule.

    Parameters
    ----------
    b : (n, q) float32 ndarray
    g : (n, q, q) float32 ndarray
    tables : tuple of StateTable
    contrast_std : float

    Returns
    -------
    (n,) float64 ndarray
        log of the sum over all joint states of prior times likelihood.

    Raises
    ------
    ShapeError
        If there are more joint states than can be summed.
    """
    check_joint_states(tables)
    if len(tables) <= 2:
        return table_posterior(b, g, tables, contrast_std).log_evidence
    held, others = tables[-1], tables[:-1]
    total = np.full(len(b), -np.inf)
    for functions, log_prior in zip(held.functions, held.log_prior, strict=True):
        mixing = np.eye(b.shape[1], dtype=np.float32)
        # the held component's columns become one, its density at this state; the rest are empty
        mixing[held.columns, held.columns] = 0
        mixing[held.columns, held.columns.start] = functions
        own_b = b @ mixing
        own_g = np.einsum("pa,npq,qb->nab", mixing, g, mixing, optimize=True)
        evidence = joint_log_evidence(own_b, own_g.astype(np.float32), others, contrast_std)
        total = np.logaddexp(total, log_prior + evidence)
    return total
