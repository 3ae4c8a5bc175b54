"""What a recovery is asked for, and what it knows after a stage."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.pose_step import Poses, PoseSettings
from napari_hypermol.runs.priors import PriorSettings
from napari_hypermol.runs.stage_problem import Estimate
from napari_hypermol.schedules.stage import Stage

__all__ = [
    "RecoverySettings",
    "Snapshot",
]


class RecoverySettings(NamedTuple):
    """What of the recipe the recovery needs.

    Attributes
    ----------
    stages : sequence of Stage
    refine_contrast : bool
    priors : PriorSettings
    contrast_std : float or None
        Of the contrasts' prior; None: estimated.
    is_adaptive : bool
        Leave out stages whose band limit is beyond what the data determine.
    poses : PoseSettings or None
        None: poses are known.
    """

    stages: Sequence[Stage]
    refine_contrast: bool = True
    priors: PriorSettings = PriorSettings()
    contrast_std: float | None = None
    is_adaptive: bool = False
    poses: PoseSettings | None = None


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything known after a sweep.

    Attributes
    ----------
    stage : Stage
        What was done last.
    position : int
        How many stages of the schedule are done.
    molecule : LinearMolecule
    estimate : Estimate
    posterior : ParticlePosterior
    edge_share : float
        Share of the mean molecule at the edge of the band limit that is data, not prior.
    trace : list of dict
        One entry per sweep so far: stage, sweep, seconds, log_likelihood, ...
    poses : Poses or None
        Where they are not known.
    """

    stage: Stage
    position: int
    molecule: LinearMolecule
    estimate: Estimate
    posterior: ParticlePosterior
    edge_share: float
    trace: list[dict[str, float | str]]
    poses: Poses | None = None

    @property
    def maps(self) -> HyperMaps:
        """The molecule at any state."""
        return HyperMaps(self.molecule, self.estimate.theta)
