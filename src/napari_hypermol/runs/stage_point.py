"""Where a stage stands between two sweeps, and back."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import RunFolderError
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.halfway import Halfway, generator_at
from napari_hypermol.runs.image_work import brought
from napari_hypermol.runs.pose_guide import Guide
from napari_hypermol.runs.remote_images import RemoteImages
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.step_sizes import NO_STEPS, StepSizes
from napari_hypermol.runs.trimming import cut_arrays
from napari_hypermol.samplers.state_draws import StateDraw
from napari_hypermol.schedules.stage import Stage

__all__ = ["Renewed", "StagePoint", "at_poses", "rewhitened"]

Float64 = NDArray[np.float64]
_POSTERIOR = ("state_mean", "state_std", "contrast_mean", "contrast_std", "log_evidence")
# The images of a problem, whitened again from the data under its poses and a noise. Moved and
# scaled step by step they would depend on every step before by its rounding; so they do on none.
Renewed = Callable[[StageProblem, Float64], StageProblem]


def at_poses(problem: StageProblem, rotations: NDArray[Any], shifts: Float64) -> StageProblem:
    """The same problem said to be at other poses; its images have to be renewed."""
    if isinstance(problem.images, RemoteImages):
        return replace(problem, images=problem.images.at(rotations, shifts), shifts=shifts)
    problem, images = problem.here()
    return replace(problem, images=images._replace(rotations=rotations), shifts=shifts)


def rewhitened(problem: StageProblem, noises: Sequence[Float64]) -> StageProblem:
    """A problem whitened with the first noise, scaled to each of the others in turn."""
    for old, new in itertools.pairwise(noises):
        problem = problem.with_noise(old, new)
    return problem


@dataclass(frozen=True, eq=False)
class StagePoint:
    """All that the next sweep of a stage depends on.

    Attributes
    ----------
    stage : Stage
    position : int
        Of the stage in the schedule, from 1.
    sweep : int
        How many of its sweeps are done.
    estimate : Estimate
    posterior : ParticlePosterior
        Of the last sweep.
    molecule : LinearMolecule
        With its trajectories.
    noises : sequence of (groups, shells) float64 ndarray
        All that the images were scaled by since they were whitened with the first.
    rotations, shifts : ndarray or None
        Where poses are not known.
    trace : list of dict
    random : dict
        State of the generator.
    edge_share : float or None
        Set when all sweeps are done.
    drawn : StateDraw or None
        Of the last sweep, where states are drawn.
    guide : Guide or None
        Where rotations move.
    sizes : StepSizes
        Of kernels that move by steps.
    has_moments : bool
        Whether the posterior's moments are kept: where the next sweep does not read states anew.
    is_repeat : bool
        Whether the stage is done for the second time.
    """

    stage: Stage
    position: int
    sweep: int
    estimate: Estimate
    posterior: ParticlePosterior
    molecule: LinearMolecule
    noises: Sequence[Float64]
    rotations: NDArray[Any] | None
    shifts: Float64 | None
    trace: list[dict[str, Any]]
    random: dict[str, Any]
    edge_share: float | None = None
    drawn: StateDraw | None = None
    guide: Guide | None = None
    sizes: StepSizes = NO_STEPS
    has_moments: bool = False
    is_repeat: bool = False

    def halfway(self) -> Halfway:
        """For the disk."""
        estimate, posterior = self.estimate, self.posterior
        arrays: dict[str, NDArray[Any]] = {
            "theta": estimate.theta,
            "noises": np.array(self.noises),
        }
        arrays |= {name: getattr(posterior, name) for name in _POSTERIOR}
        if self.has_moments:
            arrays |= {"first": brought(posterior.first), "second": brought(posterior.second)}
        if self.drawn is not None:
            arrays |= {f"drawn_{name}": value for name, value in self.drawn._asdict().items()}
        if self.guide is not None:
            arrays |= self.guide.arrays()
        for index, spectrum in enumerate(estimate.spectra):
            arrays[f"spectrum_{index}"] = spectrum
        for index, occupancy in enumerate(estimate.occupancies):
            arrays[f"occupancy_{index}"] = occupancy
        for index, table in enumerate(posterior.tables):
            arrays[f"table_{index}"] = table
        if self.rotations is not None and self.shifts is not None:
            arrays |= {"rotations": self.rotations, "shifts": self.shifts}
        n_cuts, cuts = cut_arrays(self.molecule)
        arrays |= cuts
        facts = {
            "n_cuts": n_cuts,
            "stage": asdict(self.stage),
            "position": self.position,
            "sweep": self.sweep,
            "contrast_std": estimate.contrast_std,
            "trajectories": [t and t.values() for t in self.molecule.trajectories],
            "trace": self.trace,
            "random": self.random,
            "edge_share": self.edge_share,
            "is_repeat": self.is_repeat,
            "step_sizes": self.sizes.facts(),
        }
        return Halfway("stage", facts, arrays)

    @classmethod
    def of(
        cls, halfway: Halfway, stage: Stage, molecule: LinearMolecule, n_shells: int
    ) -> "StagePoint":
        """From the disk; `molecule` is that of the stage, its trajectories as they begin.

        Raises
        ------
        RunFolderError
            If the molecule is another one, or noise was of other than `n_shells` shells.
        """
        facts, arrays = halfway.facts, halfway.arrays
        if arrays["theta"].shape != (molecule.n_coefficients,):
            raise RunFolderError(
                f"halfway.npz: {arrays['theta'].size} coefficients, its stage has "
                f"{molecule.n_coefficients}; remove it to go on from the last stage that was done"
            )
        if arrays["noises"].shape[-1] != n_shells:
            raise RunFolderError(
                "halfway.npz: noise of other shells than these, as earlier versions wrote it; "
                "remove it to go on from the last stage that was done"
            )
        trajectories = zip(molecule.trajectories, facts["trajectories"], strict=True)
        molecule = molecule.with_trajectories(
            tuple(t and values and t.with_values(values) for t, values in trajectories)
        )
        noises = list(arrays["noises"])
        estimate = Estimate(
            arrays["theta"],
            _counted(arrays, "spectrum"),
            noises[-1],
            float(facts["contrast_std"]),
            tuple(_counted(arrays, "occupancy")),
        )
        n = len(arrays["state_mean"])
        nothing = np.zeros((n, 0), dtype=np.float32)
        small: Any = {name: arrays[name] for name in _POSTERIOR}
        posterior = ParticlePosterior(
            first=arrays.get("first", nothing),
            second=arrays.get("second", nothing[:, None]),
            tables=tuple(_counted(arrays, "table")),
            **small,
        )
        drawn = None
        if "drawn_entries" in arrays:
            drawn = StateDraw(*(arrays[f"drawn_{name}"] for name in StateDraw._fields))
        return cls(
            stage=stage,
            position=int(facts["position"]),
            sweep=int(facts["sweep"]),
            estimate=estimate,
            posterior=posterior,
            molecule=molecule,
            noises=noises,
            rotations=arrays.get("rotations"),
            shifts=arrays.get("shifts"),
            trace=list(facts["trace"]),
            random=facts["random"],
            edge_share=facts["edge_share"],
            drawn=drawn,
            guide=Guide.of(arrays),
            sizes=StepSizes.of_facts(facts["step_sizes"]),
            has_moments="first" in arrays,
            is_repeat=bool(facts["is_repeat"]),
        )

    def generator(self) -> np.random.Generator:
        """The random generator as it stood."""
        return generator_at({"random": self.random})


def _counted(arrays: dict[str, NDArray[Any]], name: str) -> list[NDArray[Any]]:
    """``name_0``, ``name_1``, ..."""
    found: list[NDArray[Any]] = []
    while f"{name}_{len(found)}" in arrays:
        found.append(arrays[f"{name}_{len(found)}"])
    return found
