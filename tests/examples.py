"""Small molecules and data that several rooms test with."""

from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.product import ProductBasis
from napari_hypermol.bases.voxel import VoxelBasis
from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples, fourier_samples
from napari_hypermol.imaging.projector import Placements
from napari_hypermol.molecules.component import Component, rotation_about
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.molecules.support import Ball
from napari_hypermol.posterior.likelihood import WhitenedImages


def cosine_plane(degree: int) -> ProductBasis:
    """Products of cosines up to a total degree; two state coordinates."""
    return ProductBasis(CosineBasis(degree), CosineBasis(degree), degree)


def pretzel_like(box_size: int, degree: int = 2) -> Composite:
    """A rigid body, an arm off the centre, and its copy turned by 100 degrees about no axis."""
    unit = box_size / 16
    turn = rotation_about((0.3, -0.2, 1.0), np.radians(100))
    arm = Ball((3.2 * unit, 0.7 * unit, -0.4 * unit), 2.2 * unit, 1.0)
    moving = CosineBasis(degree)
    return Composite(
        (
            Component("body", Ball((0, 0, 0), 2.5 * unit, 1.0), ConstantBasis()),
            Component("arm", arm, moving),
            Component("copy", arm, moving, shares="arm", rotation=turn),
        ),
        box_size,
    )


def one_ball(box_size: int, degree: int = 1) -> Composite:
    """A single ball with a one-dimensional state, centred."""
    ball = Ball((0, 0, 0), 0.3 * box_size, 1.0)
    return Composite((Component("ball", ball, CosineBasis(degree)),), box_size)


def one_grid(
    basis: VoxelBasis,
    coefficients: np.ndarray,
    centre: tuple[float, float, float] = (0, 0, 0),
    placed: np.ndarray | None = None,
) -> tuple[FourierGrids, Placements]:
    """Grids and placements of a single component with coefficients (q, k)."""
    stored = basis.fourier_grid(coefficients)
    grids = FourierGrids(
        values=stored.view(np.float32).reshape(-1),
        offsets=np.zeros(1, dtype=np.int64),
        sizes=np.array([basis.grid_shape], dtype=np.int64),
        origins=np.array([basis.grid_origin], dtype=np.int64),
        n_functions=np.array([len(coefficients)], dtype=np.int64),
        scales=np.array([basis.grid_scale], dtype=np.float32),
    )
    placements = Placements(
        np.zeros(1, dtype=np.int64),
        np.array([np.eye(3) if placed is None else placed], dtype=np.float32),
        np.array([centre], dtype=np.float32),
        np.zeros(1, dtype=np.int64),
    )
    return grids, placements


def bumps(
    basis: VoxelBasis, centre: np.ndarray, places: np.ndarray, heights: np.ndarray, width: float
) -> np.ndarray:
    """Coefficients (k,) of Gaussians at `places` (g, 3) of a component's own frame."""
    axis = (np.arange(basis.size) - basis.size // 2) * basis.edge / basis.size
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    positions = np.stack([x, y, z], axis=-1) + centre
    total = np.zeros(x.shape)
    for place, height in zip(places, heights, strict=True):
        total += height * np.exp(-((positions - place) ** 2).sum(axis=-1) / (2 * width**2))
    return np.asarray(basis.expand(total[None])[0])


def random_rotations(rng: np.random.Generator, n: int) -> np.ndarray:
    """Uniform rotations; (n, 3, 3) float32."""
    return Rotation.random(n, rng=rng).as_matrix().astype(np.float32)


class Scene(NamedTuple):
    """A discretised molecule, its placements and samples."""

    molecule: LinearMolecule
    placements: Placements
    samples: FourierSamples


def scene(composite: Composite, max_radius: float, max_degree: int | None = None) -> Scene:
    """The composite at a band limit, with the samples that go with it."""
    molecule = composite.discretise(max_radius, max_degree)
    samples = fourier_samples(composite.box_size, max_radius)
    return Scene(molecule, Placements(*molecule.placement_arrays), samples)


def random_data(rng: np.random.Generator, n: int, samples: FourierSamples) -> WhitenedImages:
    """Whitened images with nothing in them but the right shapes and signs."""
    n_k, n_shells = len(samples.kx), int(samples.shells.max()) + 1
    return WhitenedImages(
        data=rng.normal(size=(n, 2, n_k)).astype(np.float32),
        weights=rng.uniform(0.1, 2, size=(n, n_k)).astype(np.float32),
        power=np.zeros((n, n_shells), dtype=np.float32),
        fill=np.ones((n, n_shells), dtype=np.float32),
        is_premultiplied=np.zeros(n, dtype=np.bool_),
        groups=np.zeros(n, dtype=np.int64),
        rotations=random_rotations(rng, n),
    )
