"""How often a simulated molecule is in each of its states."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from napari_hypermol.synthetic.gaussians import GaussianComponent

__all__ = ["OCCUPANCIES", "draw_states"]

Float64 = NDArray[np.float64]

# Mixtures of Beta densities on [0, 1]: share, a, b of each.
OCCUPANCIES: dict[str, tuple[tuple[float, float, float], ...]] = {
    "uniform": ((1.0, 1.0, 1.0),),
    "bimodal": ((0.5, 8.0, 2.5), (0.5, 2.5, 8.0)),
}


def draw_states(component: GaussianComponent, occupancy: str, uniform: Float64) -> Float64:
    """States of a component, from uniform random numbers (n,).

    The same numbers give the same particles in like order under every occupancy. A class is drawn
    by the component's own populations; `occupancy` is for continuous states.
    """
    if component.kind == "class":
        edges = np.cumsum(component.populations)[:-1]
        return (np.searchsorted(edges, uniform, side="right") + 0.5) / len(component.populations)
    if occupancy == "uniform":
        return uniform
    mixture = OCCUPANCIES[occupancy]
    edges = np.concatenate([[0.0], np.cumsum([share for share, _, _ in mixture])])
    chosen = np.clip(np.searchsorted(edges, uniform, side="right") - 1, 0, len(mixture) - 1)
    states = np.empty_like(uniform)
    for index, (share, a, b) in enumerate(mixture):
        rows = chosen == index
        states[rows] = beta.ppf((uniform[rows] - edges[index]) / share, a, b)
    return np.clip(states, 0.0, 1.0)
