"""Step sizes of a stage's kernels, found in its warm-up and then left alone, and steps of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.samplers.adaptation import (
    HMC_ACCEPTANCE,
    MALA_ACCEPTANCE,
    Adaptation,
    adapt,
    frozen_steps,
    start,
    step_sizes,
)
from napari_hypermol.samplers.hmc import hmc
from napari_hypermol.samplers.mala import LogDensityGrad, mala
from napari_hypermol.samplers.mala import start as start_gradient
from napari_hypermol.samplers.preconditioner import IDENTITY, Preconditioner

__all__ = ["NO_STEPS", "StepSizes", "gradient_steps"]

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class StepSizes:
    """One step size a kernel, for all particles.

    Parameters
    ----------
    adaptations : mapping of str to Adaptation
        By the kernel's name.
    is_warming_up : bool
        Whether steps still follow the rates they are told.
    """

    adaptations: Mapping[str, Adaptation] = field(default_factory=dict)
    is_warming_up: bool = True

    def begun(self, name: str, first: float) -> "StepSizes":
        """The same, a kernel it does not know yet with its first step size."""
        if name in self.adaptations:
            return self
        return replace(self, adaptations={**self.adaptations, name: start(first)})

    def of(self, name: str) -> float:
        """The step size to take."""
        steps = step_sizes if self.is_warming_up else frozen_steps
        return float(steps(self.adaptations[name])[0])

    def told(self, name: str, rates: NDArray[np.floating], target: float) -> "StepSizes":
        """After a step with these acceptance rates (n,); the same again after the warm-up."""
        if not self.is_warming_up:
            return self
        adapted = adapt(self.adaptations[name], rates, target)
        return replace(self, adaptations={**self.adaptations, name: adapted})

    def facts(self) -> dict[str, list[Any]]:
        """For the disk; numbers come back as they were."""
        return {
            name: [*(float(x[0]) for x in a[:4]), a.n_steps] for name, a in self.adaptations.items()
        }

    @classmethod
    def of_facts(cls, facts: Mapping[str, list[Any]]) -> "StepSizes":
        """From the disk."""
        return cls(
            {
                name: Adaptation(
                    np.array(values[0:1]),
                    np.array(values[1:2]),
                    np.array(values[2:3]),
                    np.array(values[3:4]),
                    int(values[4]),
                )
                for name, values in facts.items()
            }
        )


NO_STEPS = StepSizes()  # of a stage that has not begun


def gradient_steps(
    rng: np.random.Generator,
    kernel: Literal["mala", "hmc"],
    variable: str,
    begin: Float64,
    log_density_grad: LogDensityGrad,
    n_steps: int,
    sizes: StepSizes,
    n_leapfrog: int,
    preconditioner: Preconditioner = IDENTITY,
) -> tuple[Float64, StepSizes, float]:
    """Steps of n vectors by a kernel with gradients, at the size of "variable kernel".

    Returns
    -------
    value : (n, ...) float64 ndarray
    sizes : StepSizes
    rate : float
        Mean acceptance.
    """
    name, rates = f"{variable} {kernel}", []
    chain = start_gradient(begin, log_density_grad)
    for _ in range(n_steps):
        size = sizes.of(name)
        if kernel == "mala":
            chain, moved = mala(rng, chain, log_density_grad, size, preconditioner)
            rate, target = moved.acceptance_rate, MALA_ACCEPTANCE
        else:
            chain, flown = hmc(rng, chain, log_density_grad, size, n_leapfrog, preconditioner)
            rate, target = flown.acceptance_rate, HMC_ACCEPTANCE
        sizes = sizes.told(name, rate, target)
        rates.append(rate.mean())
    return chain.value, sizes, float(np.mean(rates))
