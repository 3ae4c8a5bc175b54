"""A black box by hand: Gaussians whose centres move along lines with the state (Section 2.1)."""

import numpy as np
from scipy.stats import spearmanr

from napari_hypermol.runs.recover_black_box import BlackBoxSettings, recover_black_box
from napari_hypermol.synthetic.known_black_box import KnownBlackBox
from napari_hypermol.synthetic.simulate import Simulation, simulated_particles


class GaussianMixture:
    """Theta: of each of g Gaussians its centre and its move (3 + 3), log mass, log width."""

    def __init__(self, box_size, n_gaussians):
        self.box_size, self.dims, self.n_coefficients = box_size, 1, 8 * n_gaussians
        row = [0] * 6 + [np.log(4 * box_size), np.log(box_size / 12)]  # lengths in voxels
        self.mean = np.tile(row, n_gaussians)
        self.std = np.tile([box_size / 6] * 6 + [0.5, 0.2], n_gaussians)

    def centres(self, theta, states):
        rows = theta.reshape(-1, 8)
        return rows[:, :3] + (states[:, None] - 0.5) * rows[:, 3:6]  # (m, g, 3)

    def _terms(self, theta, rotations, states, samples):
        mass, width = np.exp(theta.reshape(-1, 8)[:, 6:].T)
        k = np.stack([samples.kx, samples.ky], axis=-1) / self.box_size  # (k, 2)
        envelope = np.exp(-2 * (np.pi * width[:, None] * np.linalg.norm(k, axis=1)) ** 2)
        places = np.einsum("mij,mgj->mgi", rotations[:, :2], self.centres(theta, states))
        turns = (2 * np.pi * places @ k.T).astype(np.float32)  # whose sines are 7 times faster
        return mass[:, None] / self.box_size * envelope * (np.cos(turns) - 1j * np.sin(turns)), k

    def slices(self, theta, rotations, states, samples):
        return self._terms(theta, rotations, states, samples)[0].sum(axis=1)

    def slices_adjoint(self, theta, values, rotations, states, samples):
        terms, k = self._terms(theta, rotations, states, samples)  # (m, g, k), (k, 2)
        products = terms.conj() * values[:, None]
        masses, width = products.real.sum(axis=0), np.exp(theta.reshape(-1, 8)[:, 7])
        by_width = -((2 * np.pi * width) ** 2) * (masses @ (k**2).sum(axis=1))
        by_centre = np.einsum("mij,mgi->mgj", rotations[:, :2], -2 * np.pi * products.imag @ k)
        by_move = np.einsum("mgj,m->gj", by_centre, states[:, 0] - 0.5)
        return np.c_[by_centre.sum(axis=0), by_move, masses.sum(axis=1), by_width].ravel()

    def log_prior(self, theta):
        z = (theta - self.mean) / self.std
        return -0.5 * z @ z, -z / self.std


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    molecule = GaussianMixture(box_size=32, n_gaussians=4)
    theta, *starts = molecule.mean + 0.7 * molecule.std * rng.normal(size=(4, 32))
    plan = Simulation("mixture", n=200, box_size=32, pixel_size=6.0, snr=0.2, shift_std=1.0)
    particles, truth = simulated_particles(plan, KnownBlackBox(molecule, theta))
    settings = BlackBoxSettings(resolutions=(40, 20), n_states=12)  # [Å]
    found = recover_black_box(particles, molecule, starts, settings, rng)
    for name, which in ("found", found.theta), ("true", theta):
        print(name, "centres at both ends:", molecule.centres(which, np.eye(2)[:, :1]).round(1))
    print("states, rank correlation:", spearmanr(found.state_mean, truth.states)[0])
