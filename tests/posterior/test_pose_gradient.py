import numpy as np
import pytest

from examples import one_ball, pretzel_like, random_data, scene
from napari_hypermol.coordinates.rotations import turned
from napari_hypermol.errors import ShapeError
from napari_hypermol.imaging import projector
from napari_hypermol.imaging.shift import shift_phases
from napari_hypermol.posterior.likelihood import overlaps
from napari_hypermol.posterior.pose_gradient import PosePoint, pose_gradient
from napari_hypermol.samplers.mala import rotation_mala, start
from napari_hypermol.samplers.metropolis import Chain, rotation_walk

MOLECULES = {
    "one ball": (one_ball(16, 2), 6),
    "pretzel": (pretzel_like(16), 6),
    "pretzel, odd box": (pretzel_like(17), 8),
}


@pytest.fixture(params=MOLECULES)
def problem(request, rng):
    """Images of pure noise; everything the gradient needs, and n random points."""
    molecule, placements, samples = scene(*MOLECULES[request.param])
    theta = rng.normal(size=molecule.n_coefficients).astype(np.float32)
    grids = molecule.grids(theta)
    n, n_q = 5, int(grids.n_functions[placements.grids].sum())
    images = random_data(rng, n, samples)
    point = PosePoint(
        images.rotations.astype(np.float64),
        rng.normal(size=(n, 2)),
        rng.uniform(0.5, 1.5, size=n),
        rng.normal(size=(n, n_q)),
    )
    return images, point, grids, placements, samples


def moved(point, step, direction):
    """The point after a step along a direction of all its parts."""
    turn, shift, contrast, functions = direction
    return PosePoint(
        turned(point.rotations, step * turn),
        point.shifts + step * shift,
        point.contrasts + step * contrast,
        point.functions + step * functions,
    )


def directions(rng, point):
    n = len(point.contrasts)
    shapes = [(n, 3), (n, 2), (n,), point.functions.shape]
    for part in range(4):  # each alone, then all together
        yield [rng.normal(size=s) * (j == part) for j, s in enumerate(shapes)]
    for _ in range(3):
        yield [rng.normal(size=s) for s in shapes]


def along(gradient, direction):
    n = len(gradient.log_likelihood)
    products = zip(gradient[1:], direction, strict=True)
    return sum((a * b).reshape(n, -1).sum(axis=1) for a, b in products)


def test_gradient_is_the_difference_quotient(problem, rng):
    """A step so small that hardly a sample changes its nearest grid point on the way."""
    images, point, *rest = problem
    gradient = pose_gradient(images, point, *rest)
    step = 1e-7
    for direction in directions(rng, point):
        ends = [moved(point, h, direction) for h in (step, -step)]
        above, below = (pose_gradient(images, end, *rest).log_likelihood for end in ends)
        expected = along(gradient, direction)
        # rounding of log likelihoods of some 1e2 over the step
        assert abs(expected).min() > 0
        tolerance = 1e-5 * abs(expected).max() + 1e-6
        np.testing.assert_allclose((above - below) / (2 * step), expected, atol=tolerance)


def test_log_likelihood_is_that_of_the_overlaps(problem):
    """Another path through the code: b and G by vector loops in single precision."""
    images, point, grids, placements, samples = problem
    point = point._replace(shifts=np.zeros_like(point.shifts))
    b, g = overlaps(images, grids, placements, samples)
    c, contrast = point.functions, point.contrasts
    linear = (c * b).sum(axis=1)
    square = np.einsum("nq,nqp,np->n", c, g, c)
    expected = contrast * linear - 0.5 * contrast**2 * square
    found = pose_gradient(images, point, grids, placements, samples)
    scale = abs(contrast * linear).max() + (contrast**2 * square).max()
    np.testing.assert_allclose(found.log_likelihood, expected, atol=1e-4 * scale)
    # and the gradients over c and a are those of the quadratic
    expected = contrast[:, None] * b - contrast[:, None] ** 2 * np.einsum("nqp,np->nq", g, c)
    # single precision may find another grid point nearest to a sample that lies between two
    np.testing.assert_allclose(found.functions, expected, atol=1e-4 * abs(expected).max())
    expected = linear - contrast * square
    np.testing.assert_allclose(found.contrasts, expected, atol=1e-4 * scale)


def test_images_of_the_molecule_are_at_their_own_pose(problem, rng):
    """Data without noise: no slope at the truth, and a step away leads back."""
    images, point, grids, placements, samples = problem
    slices = projector.forward(point.rotations, grids, placements, samples)
    slices = np.einsum("nkq,nq->nk", slices, point.functions) * point.contrasts[:, None]
    slices = slices * shift_phases(point.shifts, samples, 1.0)
    data = images.weights * slices
    images = images._replace(data=np.stack([data.real, data.imag], axis=1).astype(np.float32))
    truth = pose_gradient(images, point, grids, placements, samples)
    away = directions(rng, point)
    for direction in away:
        off = pose_gradient(images, moved(point, 0.01, direction), grids, placements, samples)
        assert (off.log_likelihood < truth.log_likelihood).all()
        assert (along(off, direction) < 0).all()
        at_truth = abs(along(truth, direction))
        # float32 slices, 1e-6 of their size; a step of 0.01 changes the slope by far more
        assert (at_truth < 0.02 * abs(along(off, direction)).max() + 1e-6).all()


def test_langevin_steps_are_accepted_more_often_than_random_ones(problem):
    """The frame and sign of the gradient are those of the kernel that uses it."""
    images, point, *rest = problem

    def log_density_grad(rotations):
        gradient = pose_gradient(images, point._replace(rotations=rotations), *rest)
        return gradient.log_likelihood, gradient.rotations

    # where likelihoods slope most: a step of a quarter of the length over which they change by 1
    steep = np.linalg.norm(log_density_grad(point.rotations)[1], axis=1)
    step = 0.25 / steep
    chain, rates = start(point.rotations, log_density_grad), []
    walk = Chain(chain.value, chain.log_density)
    for seed in range(100):
        langevin = rotation_mala(np.random.default_rng(seed), chain, log_density_grad, step**2 / 2)
        random = rotation_walk(
            np.random.default_rng(seed), walk, lambda x: log_density_grad(x)[0], step[:, None]
        )
        rates.append([1 - info.acceptance_rate.mean() for _, info in (langevin, random)])
    lost_by_langevin, lost_at_random = np.mean(rates, axis=0)
    assert lost_by_langevin < 0.5 * lost_at_random


def test_any_number_of_parts_gives_the_same(problem, monkeypatch):
    images, point, *rest = problem
    one = pose_gradient(images, point, *rest)
    monkeypatch.setattr("numba.get_num_threads", lambda: 3)
    three = pose_gradient(images, point, *rest)
    for a, b in zip(one, three, strict=True):
        np.testing.assert_array_equal(a, b)


def test_shapes_that_do_not_fit_are_refused(problem):
    images, point, *rest = problem
    with pytest.raises(ShapeError, match=r"shifts of shape \(4, 2\), expected \(5, 2\)"):
        pose_gradient(images, point._replace(shifts=point.shifts[:4]), *rest)
