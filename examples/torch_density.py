"""A black box from a density written in PyTorch, whose gradient autograd finds: a swinging arm."""

import numpy as np
import torch
from scipy.stats import spearmanr

from napari_hypermol.runs.density_black_box import DensityBlackBox
from napari_hypermol.runs.recover_black_box import BlackBoxSettings, recover_black_box
from napari_hypermol.synthetic.known_black_box import KnownBlackBox
from napari_hypermol.synthetic.simulate import Simulation, simulated_particles

BOX, BEADS, MEAN = 32, 4, torch.tensor([0.0] * 9 + [0.0, 0.7], dtype=torch.float64)
STD = torch.tensor([4.0] * 6 + [1.0] * 3 + [0.5, 0.2], dtype=torch.float64)


def places(theta, state):
    """A ball at the hinge and the beads of an arm that turns about an axis; (beads + 1, 3)."""
    hinge, arm, axis = theta[:9].reshape(3, 3)  # [voxels], [voxels], [rad over the whole range]
    x, y, z = axis * (state[0] - 0.5)
    o = torch.zeros_like(x)
    turn = torch.linalg.matrix_exp(torch.stack([o, -z, y, z, o, -x, -y, x, o]).reshape(3, 3))
    return hinge + torch.arange(BEADS + 1)[:, None] / BEADS * 2 * (turn @ arm)


def density(theta, r, state):
    squares = ((r[:, None] - places(theta, state)) ** 2).sum(dim=-1)
    return torch.exp(theta[9] - squares / (2 * torch.exp(2 * theta[10]))).sum(dim=1)


def log_prior(theta):
    return -0.5 * (((theta - MEAN) / STD) ** 2).sum()


def numpy_values(function):
    return lambda *arrays: function(*map(torch.as_tensor, arrays)).numpy()


def pulled_back(function, theta, values, *arrays):
    """The function's value and the gradient over theta of its product with `values`."""
    theta = torch.tensor(theta, requires_grad=True)
    found = function(theta, *map(torch.as_tensor, arrays))
    return found.detach().numpy(), torch.autograd.grad(found, theta, torch.as_tensor(values))[0].numpy()


molecule = DensityBlackBox(
    density=numpy_values(density), log_prior=lambda theta: pulled_back(log_prior, theta, np.array(1.0)),
    box_size=BOX, dims=1, n_coefficients=len(MEAN),
    density_adjoint=lambda theta, *rest: pulled_back(density, theta, *rest)[1],
)  # fmt: skip

if __name__ == "__main__":
    rng = np.random.default_rng(1)
    theta, *starts = MEAN.numpy() + STD.numpy() * rng.normal(size=(4, len(MEAN)))
    plan = Simulation("arm", n=200, box_size=BOX, pixel_size=6.0, snr=0.2, shift_std=1.0)
    particles, truth = simulated_particles(plan, KnownBlackBox(molecule, theta))
    settings = BlackBoxSettings(resolutions=(40, 24), n_states=12)
    found = recover_black_box(particles, molecule, starts, settings, rng)
    print("states:", spearmanr(found.state_mean[:, 0], truth.states[:, 0])[0])
    for name, theta in ("true", theta), ("found", found.theta):
        for state in np.array([[0.0], [1.0]]):
            print(name, "beads at state", state[0], numpy_values(places)(theta, state).round(1).tolist())
