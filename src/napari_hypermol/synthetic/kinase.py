"""A protein-like molecule that closes as adenylate kinase does: a core and two domains that move.

Its LID and its NMP domain close over the core together, with one state.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.molecules.component import rotation_about
from napari_hypermol.synthetic.gaussians import GaussianComponent, GaussianMolecule
from napari_hypermol.synthetic.globule import globule

__all__ = ["kinase"]


class _Domain(NamedTuple):
    """A globular domain and how it turns; units of a 64-voxel box.

    Attributes
    ----------
    centre : (x, y, z)
        At state 0, open.
    radius : float
    atoms : int
        As many a volume in every domain.
    pivot, axis : (x, y, z)
    turn : float
        From open to closed [rad].
    """

    centre: tuple[float, float, float]
    radius: float
    atoms: int
    pivot: tuple[float, float, float] = (0.0, 0.0, 0.0)
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    turn: float = 0.0


_WIDTH = 1.25
_CORE = _Domain((-1.0, -6.0, 0.0), 12.0, 640)
_LID = _Domain((12.0, 8.5, 3.5), 7.5, 160, (8.0, 1.5, 1.0), (0.2, 0.1, 1.0), np.radians(45.0))
_NMP = _Domain((-12.5, 6.5, -4.5), 6.5, 100, (-8.5, 1.5, -1.0), (-0.1, 0.3, -1.0), np.radians(30.0))


def _together(states: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the NMP domain has closed, 0 to 1: it lags behind the LID."""
    return 0.5 * states * (1 + states)


def kinase(box_size: int) -> GaussianMolecule:
    """The kinase, scaled to a box; the same chains every time.

    Parameters
    ----------
    box_size : int
        [voxels]; the open kinase spans about 60 % of it.

    Returns
    -------
    GaussianMolecule
        One component with one state, 0 open and 1 closed: its LID turns by 45 degrees and its NMP
        domain by 30 towards it.
    """
    scale = box_size / 64
    rng = np.random.default_rng(1985)  # part of the molecule's definition
    core, lid, nmp = (_atoms(rng, domain) for domain in (_CORE, _LID, _NMP))

    def centres(states: NDArray[np.float64]) -> NDArray[np.float64]:
        still = np.broadcast_to(core, (len(states), *core.shape))
        turned = [_turned(_LID, lid, states), _turned(_NMP, nmp, _together(states))]
        return scale * np.concatenate([still, *turned], axis=1)

    ones = np.ones(len(core) + len(lid) + len(nmp))
    component = GaussianComponent("kinase", centres, ones, scale * _WIDTH * ones, True)
    return GaussianMolecule((component,))


def _atoms(rng: np.random.Generator, domain: _Domain) -> NDArray[np.float64]:
    """Pseudo-atoms of a domain at state 0, their centre of mass where its centre is; (g, 3)."""
    chain = globule(rng, domain.radius, domain.atoms)
    return np.asarray(chain - chain.mean(axis=0) + domain.centre)


def _turned(
    domain: _Domain, atoms: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Atoms (g, 3) after each share of the domain's turn; (n, g, 3)."""
    turns = np.stack([rotation_about(domain.axis, domain.turn * share) for share in shares])
    pivot = np.array(domain.pivot)
    return np.asarray(np.einsum("nij,gj->ngi", turns, atoms - pivot) + pivot)
