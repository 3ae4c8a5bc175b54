"""A molecule whose state tells its two hands apart begins again from one of them (Figure 5).

Without poses images do not tell a molecule from its mirror image. Where a search has put some
particles at poses of the one and some at poses of the other, the strongest "motion" is from one
hand to the other, and the states to be found lie below it. Two signs tell: the two most different
states are mirror images of each other, or the mean, of both hands together, is much more nearly its
own mirror image than the molecule is at one of its states.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.molecules.composite import Composite
from napari_hypermol.runs.alignment import mirror_symmetry
from napari_hypermol.runs.diagnostics import mirror_check
from napari_hypermol.runs.snapshot import Snapshot
from napari_hypermol.runs.state_axes import middle_states
from napari_hypermol.schedules.stage import Stage

__all__ = ["of_one_hand", "state_of_one_hand"]

Float64 = NDArray[np.float64]
_ENDS = (0.1, 0.9)  # quantiles of the particles' states at which an axis is looked at
_SEEN = 50  # particles whose states make the mean map
# What a state's map lacks of its own mirror image, over what the mean lacks: 1.1 for a pretzel of
# one hand, 2.0 for one of which a quarter was of the other.
_SEPARATES = 1.5


def state_of_one_hand(snapshot: Snapshot) -> Float64 | None:
    """The state at which the molecule is of one hand; None: it is at all of them.

    Parameters
    ----------
    snapshot : Snapshot
        Of one component with a state, as searches have.

    Returns
    -------
    (dims,) float64 ndarray or None
    """
    molecule = snapshot.molecule
    if len(molecule.components) > 1 or not molecule.kinds(0) or molecule.trajectories[0]:
        return None
    name = molecule.components[0].name
    found = mirror_check(snapshot.maps, name, snapshot.posterior.state_mean)
    if not found["is_mirror"]:
        return _of_less_symmetry(snapshot)
    powers = [float((snapshot.maps.volume(state) ** 2).sum()) for state in found["states"]]
    return np.asarray(found["states"][int(np.argmax(powers))], dtype=np.float64)


def _of_less_symmetry(snapshot: Snapshot) -> Float64 | None:
    """The end of an axis whose map is least its own mirror image, if by much less than the mean."""
    maps, states = snapshot.maps, snapshot.posterior.state_mean
    some = states[:: -(-len(states) // _SEEN)]
    mean = np.mean([maps.volume([float(t) for t in state]) for state in some], axis=0)
    candidates = []
    for axis, ends in enumerate(np.quantile(states, _ENDS, axis=0).T):
        for end in ends:
            state = middle_states(maps.axes)
            state[axis] = float(end)
            candidates.append(state)
    lacks = [1 - mirror_symmetry(maps.volume(state)) for state in candidates]
    best = int(np.argmax(lacks))
    if lacks[best] <= _SEPARATES * (1 - mirror_symmetry(mean)):
        return None
    return np.asarray(candidates[best], dtype=np.float64)


def of_one_hand(
    snapshot: Snapshot, composite: Composite, state: Float64, stage: Stage, position: int
) -> Snapshot:
    """The molecule as it is at a state, and nothing known of how it moves.

    Parameters
    ----------
    snapshot : Snapshot
    composite : Composite
    state : (dims,) float64 ndarray
    stage : Stage
        The one before states begin.
    position : int
        How many stages are done.
    """
    still = composite.discretise(snapshot.stage.max_radius, 0)
    moving, estimate, posterior = snapshot.molecule, snapshot.estimate, snapshot.posterior
    functions = moving.state_bases[0].evaluate(state[None]).astype(np.float32)
    theta = (functions @ moving.split(estimate.theta)[0]).ravel()
    n = len(posterior.contrast_mean)
    first = posterior.contrast_mean[:, None].astype(np.float32)
    square = posterior.contrast_mean**2 + posterior.contrast_std**2
    return Snapshot(
        # the next one begins at this band limit, whatever the one before had
        stage=replace(stage, max_radius=snapshot.stage.max_radius),
        position=position,
        molecule=still,
        estimate=estimate._replace(
            theta=theta, spectra=[spectrum[:1] for spectrum in estimate.spectra], occupancies=()
        ),
        posterior=posterior._replace(
            state_mean=np.zeros((n, 0)),
            state_std=np.zeros((n, 0)),
            first=first,
            second=square[:, None, None].astype(np.float32),
            tables=(),
        ),
        edge_share=snapshot.edge_share,
        trace=snapshot.trace,
        poses=snapshot.poses,
    )
