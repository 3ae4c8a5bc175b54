"""A black box from a density written in PyTorch, whose gradient autograd finds: a swinging arm."""

import numpy as np
import torch
from scipy.stats import spearmanr

from napari_hypermol.runs.density_black_box import DensityBlackBox
from napari_hypermol.runs.recover_black_box import BlackBoxSettings, recover_black_box
from napari_hypermol.synthetic.known_black_box import KnownBlackBox
from napari_hypermol.synthetic.simulate import Simulation, simulated_particles

BOX, BEADS, MEAN = 24, 3, torch.tensor([0.0] * 9 + [0.0, 0.7], dtype=torch.float64)
STD = torch.tensor([3.0] * 6 + [1.0] * 3 + [0.5, 0.2], dtype=torch.float64)


def places(theta, state):
    """A ball at the hinge and the beads of an arm that turns about an axis; (beads + 1, 3)."""
    hinge, arm, axis = theta[:9].reshape(3, 3)  # [voxels], [voxels], [rad over the whole range]
    swing = torch.linalg.cross(torch.eye(3).to(axis), axis[None] * (state - 0.5))
    return hinge + 2 * torch.linspace(0, 1, BEADS + 1)[:, None] * (torch.matrix_exp(swing) @ arm)


def density(theta, r, state):
    beads = places(theta, state)
    squares = (r**2).sum(dim=1)[:, None] - 2 * r @ beads.T + (beads**2).sum(dim=1)
    return torch.exp(theta[9] - squares / (2 * torch.exp(2 * theta[10]))).sum(dim=1)


def log_prior(theta):
    return -0.5 * (((theta - MEAN) / STD) ** 2).sum()


def pulled_back(function, theta, values, *arrays):
    """A function of theta, and the gradient over theta of its product with `values`."""
    theta = torch.tensor(theta, requires_grad=True)
    found = function(theta, *map(torch.as_tensor, arrays))
    found.backward(torch.as_tensor(values))
    return found.detach().numpy(), theta.grad.numpy()


molecule = DensityBlackBox(
    density=lambda *arrays: density(*map(torch.as_tensor, arrays)).numpy(),
    log_prior=lambda theta: pulled_back(log_prior, theta, np.array(1.0)),
    density_adjoint=lambda theta, *rest: pulled_back(density, theta, *rest)[1],
    box_size=BOX,
    dims=1,
    n_coefficients=len(MEAN),
)


if __name__ == "__main__":
    rng = np.random.default_rng(7)
    theta, *starts = MEAN.numpy() + STD.numpy() * rng.normal(size=(3, len(MEAN)))
    plan = Simulation("arm", n=150, box_size=BOX, pixel_size=8.0, snr=0.2, shift_std=1.0)
    particles, truth = simulated_particles(plan, KnownBlackBox(molecule, theta))
    settings = BlackBoxSettings(resolutions=(48, 24), n_states=8, steps=25)
    found = recover_black_box(particles, molecule, starts, settings, rng)
    for name, which in ("found", found.theta), ("true", theta):
        print(name, "hinge and arm [voxels], axis [rad]:", which[:9].round(1))
    print("states, rank correlation:", spearmanr(found.state_mean, truth.states)[0])
