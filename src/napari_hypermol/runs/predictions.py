"""What a run expects every image to be, and what of the image it leaves: for a person to look at.

Not here: how likely a particle is (`held_out`). Particles are taken one by one and in one thread,
so that a window can ask while another thread is at work.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples, fourier_samples
from napari_hypermol.imaging.ctf import contrast_transfer
from napari_hypermol.imaging.forward import image_samples, select_defocus, shell_sums
from napari_hypermol.imaging.projector import Placements, ready_to_slice, slice_particle
from napari_hypermol.imaging.restoration import image_from_samples
from napari_hypermol.imaging.shift import shift_phases
from napari_hypermol.io.stack import computed
from napari_hypermol.particles import Particles
from napari_hypermol.runs.pose_step import with_poses
from napari_hypermol.runs.snapshot import Snapshot
from napari_hypermol.runs.sweep import state_tables

__all__ = ["NoiseCheck", "Predictions", "noise_check", "shown_rows"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Complex64 = NDArray[np.complex64]
Rows = NDArray[np.int64]
_ASKED = 200  # particles whose residuals are averaged: each spectrum's shells to a few percent


@dataclass(frozen=True, eq=False)
class Predictions:
    """A run's expectation of its own particles; n of them.

    Parameters
    ----------
    particles : Particles
        As read for the run.
    snapshot : Snapshot
        Its poses, where it found any, replace those of the file.
    """

    particles: Particles
    snapshot: Snapshot

    @cached_property
    def samples(self) -> FourierSamples:
        """Fourier samples of the last stage."""
        return fourier_samples(
            self.snapshot.molecule.box_size, float(self.snapshot.stage.max_radius)
        )

    @cached_property
    def posed(self) -> Particles:
        """The particles, at the run's poses."""
        poses = self.snapshot.poses
        if poses is None:
            return self.particles
        return with_poses(self.particles, np.arange(len(poses.rotations)), poses)

    @cached_property
    def _grids(self) -> FourierGrids:
        return self.snapshot.molecule.grids(self.snapshot.estimate.theta)

    def functions(self, rows: Rows) -> Float32:
        """State functions of some particles, averaged over their posteriors; (m, q)."""
        snapshot = self.snapshot
        out = np.ones((len(rows), sum(snapshot.molecule.n_functions)), dtype=np.float32)
        tables = state_tables(snapshot.molecule, snapshot.estimate.occupancies)
        # strict=False: before the states begin there are tables, but no posteriors
        for table, posterior in zip(tables, snapshot.posterior.tables, strict=False):
            out[:, table.columns] = posterior[rows] @ table.functions
        return out

    def slices(self, rotations: NDArray[np.floating], functions: Float32) -> Complex64:
        """Transforms of the molecule's projections, without CTF, shift and contrast.

        Parameters
        ----------
        rotations : (m, 3, 3) float ndarray
        functions : (m, q) float32 ndarray
            As `functions` gives them.

        Returns
        -------
        (m, k) complex64 ndarray
        """
        samples, grids = self.samples, self._grids
        ready_to_slice(grids, samples)
        placements = Placements(*self.snapshot.molecule.placement_arrays)
        everything = np.ones(len(placements.grids), dtype=np.bool_)
        scratch = np.empty((len(samples.kx), 2 * functions.shape[1]), dtype=np.float32)
        out = np.empty((len(rotations), len(samples.kx)), dtype=np.complex64)
        for row, rotation in enumerate(np.ascontiguousarray(rotations, dtype=np.float32)):
            slice_particle(scratch, rotation, grids, placements, samples, everything)
            out[row] = scratch.view(np.complex64) @ functions[row]
        return out

    def transfer(self, rows: Rows) -> Complex64:
        """What contrast, CTF and shift make of a slice, a H S; (m, k)."""
        particles, samples = self.posed, self.samples
        groups = particles.optics_group[rows].astype(np.int64)
        defocus = select_defocus(particles.defocus, rows)
        ctf = np.ones((len(rows), len(samples.kx)), dtype=np.float32)
        if defocus is not None:
            ctf = contrast_transfer(
                particles.optics, groups, defocus, samples, particles.pixel_size
            )
        ctf = np.where(particles.optics.is_premultiplied[groups][:, None], ctf**2, ctf)
        phases = shift_phases(particles.shifts[rows], samples, particles.pixel_size)
        contrasts = self.snapshot.posterior.contrast_mean[rows].astype(np.float32)
        return np.asarray(contrasts[:, None] * ctf * phases, dtype=np.complex64)

    def predicted(self, rows: Rows) -> Complex64:
        """Expected Fourier samples of some particles; (m, k)."""
        rotations = self.posed.rotations
        assert rotations is not None  # a run has poses, of the file or its own
        return self.transfer(rows) * self.slices(rotations[rows], self.functions(rows))

    def measured(self, rows: Rows) -> Complex64:
        """Fourier samples of the images themselves; (m, k)."""
        return np.asarray(image_samples(computed(self.particles.images[rows]), self.samples))

    def sigma(self, rows: Rows) -> Float32:
        """Standard deviation of the noise at every sample; (m, k)."""
        groups = self.particles.optics_group[rows].astype(np.int64)
        noise = self.snapshot.estimate.noise[groups][:, self.samples.shells]
        return np.sqrt(noise).astype(np.float32)

    def images(self, rows: Rows) -> Float32:
        """Expected images; (m, y, x)."""
        return np.asarray(image_from_samples(self.predicted(rows), self.samples))

    def triples(self, rows: Rows) -> Float32:
        """Image and prediction inside the band limit, and the residual in units of the noise.

        Returns
        -------
        (m, 3, y, x) float32 ndarray
            The residual is whitened and scaled so that noise alone has variance 1.
        """
        measured, predicted = self.measured(rows), self.predicted(rows)
        residual = (measured - predicted) / self.sigma(rows)
        share = self.samples.weights.sum() / self.samples.box_size**2
        parts = (measured, predicted, residual / np.sqrt(share))
        pictures = [image_from_samples(part, self.samples) for part in parts]
        return np.stack(pictures, axis=1).astype(np.float32)


class NoiseCheck(NamedTuple):
    """Noise that a run assumes and what its residuals have; s shells inside the band limit.

    Attributes
    ----------
    frequency : (s,) float64 ndarray
        [1/Å].
    assumed, residual, image : (s,) float64 ndarray
        Mean power of a sample: the noise model's, the residuals', the images'.
    """

    frequency: Float64
    assumed: Float64
    residual: Float64
    image: Float64


def noise_check(predictions: Predictions) -> NoiseCheck:
    """The noise model against the residuals of particles spread over the file."""
    n = len(predictions.snapshot.posterior.contrast_mean)
    rows = np.unique(np.linspace(0, n - 1, min(n, _ASKED)).astype(np.int64))
    samples = predictions.samples
    n_shells = int(samples.shells.max()) + 1
    measured, predicted = predictions.measured(rows), predictions.predicted(rows)
    count = shell_sums(samples.weights[None], samples, n_shells)[0]
    spectra = [
        (shell_sums(values * samples.weights, samples, n_shells) / count).mean(axis=0)
        for values in (
            predictions.sigma(rows) ** 2, np.abs(measured - predicted) ** 2, np.abs(measured) ** 2
        )
    ]  # fmt: skip
    edge = samples.box_size * predictions.particles.pixel_size
    shells = np.arange(1, n_shells)  # the mean of an image says nothing about its noise
    return NoiseCheck(shells / edge, *(s[1:] for s in spectra))


def shown_rows(log_likelihood: Float64, count: int) -> tuple[Rows, Rows]:
    """The least likely particles, and the most typical, about the median; rows of either."""
    order = np.argsort(log_likelihood, kind="stable")
    count = min(count, len(order))
    start = (len(order) - count) // 2
    return order[:count], order[start : start + count]
