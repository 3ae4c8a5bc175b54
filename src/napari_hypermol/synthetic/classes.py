"""A molecule in four classes: a domain in three places on its core, or missing."""

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.molecules.component import rotation_about
from napari_hypermol.synthetic.gaussians import GaussianComponent, GaussianMolecule
from napari_hypermol.synthetic.globule import globule

__all__ = ["POPULATIONS", "classes"]

POPULATIONS = (0.4, 0.3, 0.2, 0.1)

# Units of a 64-voxel box throughout.
_ATOMS = (350, 180)  # of core and domain
_WIDTH = 1.25
_RADII = (9.5, 6.5)
_CORE = np.array([-5.0, 0.0, -3.0])
_DOMAIN = np.array([8.0, 0.0, 5.0])
_PIVOT = np.array([1.0, 0.0, 1.0])  # where the domain is tied to the core
# How the domain is turned about the pivot in each class: axis and angle [degrees].
_TURNS = (((0, 1, 0), 0.0), ((0, 1, 0.2), 40.0), ((1, 0.2, 0.3), 50.0), ((0, 1, 0), 0.0))
_IS_THERE = (1.0, 1.0, 1.0, 0.0)


def classes(box_size: int) -> GaussianMolecule:
    """The molecule, scaled to a box; the same chains every time.

    Parameters
    ----------
    box_size : int
        [voxels]; the molecule spans about 60 % of it.

    Returns
    -------
    GaussianMolecule
        One component whose state is the class, k at (k + 0.5) / 4: the domain in three places
        (the first two a swing, the third a twist), and the core alone.
    """
    scale = box_size / 64
    rng = np.random.default_rng(2022)  # part of the molecule's definition
    core = globule(rng, _RADII[0], _ATOMS[0]) + _CORE
    domain = globule(rng, _RADII[1], _ATOMS[1]) + _DOMAIN - _PIVOT
    turns = [rotation_about(axis, np.radians(angle)) for axis, angle in _TURNS]
    places = scale * np.stack([np.concatenate([core, domain @ t.T + _PIVOT]) for t in turns])
    factors = np.ones(places.shape[:2])
    factors[:, len(core) :] = np.array(_IS_THERE)[:, None]

    def index(states: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.clip((states * len(POPULATIONS)).astype(np.int64), 0, len(POPULATIONS) - 1)

    n = sum(_ATOMS)
    component = GaussianComponent(
        "classes",
        lambda states: places[index(states)],
        np.ones(n),
        np.full(n, scale * _WIDTH),
        has_state=True,
        kind="class",
        populations=POPULATIONS,
        presence=lambda states: factors[index(states)],
    )
    return GaussianMolecule((component,))
