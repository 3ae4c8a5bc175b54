import numpy as np
import pytest

from examples import pretzel_like, random_data, random_rotations, scene
from napari_hypermol.errors import ShapeError
from napari_hypermol.imaging import projector
from napari_hypermol.imaging.view_order import view_order
from napari_hypermol.posterior import likelihood
from napari_hypermol.posterior.likelihood import (
    WhitenedImages,
    explained_power,
    image_adjoint,
    normal_operator,
    overlaps,
    particle_order,
    residual_adjoint,
    residual_and_power,
)

N = 5


@pytest.fixture(
    scope="module", params=[(16, 6, 2), (17, 8, 2), (16, 5, 8)], ids=["even", "odd", "many"]
)
def here(request):
    box_size, radius, degree = request.param
    return scene(pretzel_like(box_size, degree), radius)


@pytest.fixture
def images(here, rng):
    return random_data(rng, N, here.samples)


@pytest.fixture
def grids(here, rng):
    theta = rng.normal(size=here.molecule.n_coefficients).astype(np.float32)
    return here.molecule.grids(theta)


@pytest.fixture
def slices(here, images, grids):
    """A_q of every particle, in double."""
    found = projector.forward(images.rotations, grids, here.placements, here.samples)
    return found.astype(np.complex128)


def as_complex(data):
    return data[:, 0].astype(np.complex128) + 1j * data[:, 1]


def close(found, expected):
    """Equal to float32 rounding of sums as large as the largest."""
    np.testing.assert_allclose(found, expected, atol=2e-5 * abs(expected).max())


def test_overlaps_from_slices(here, images, grids, slices):
    b, g = overlaps(images, grids, here.placements, here.samples)
    close(b, np.einsum("nkq,nk->nq", slices.conj(), as_complex(images.data)).real)
    close(g, np.einsum("nkq,nk,nkp->nqp", slices.conj(), images.weights, slices).real)
    np.testing.assert_array_equal(g, np.swapaxes(g, 1, 2))


def test_overlaps_are_the_log_likelihood(here, rng, grids, slices):
    """-2 log L in words: |Y - a H S A c|^2 over sigma^2 is |Y|^2 - 2 a c.b + a^2 c.G c."""
    n_k, contrast = len(here.samples.kx), 1.3
    c = rng.normal(size=slices.shape[2])
    ctf, sigma_square = rng.normal(size=(N, n_k)), rng.uniform(0.5, 2, n_k)
    y = rng.normal(size=(N, n_k)) + 1j * rng.normal(size=(N, n_k))
    scale = here.samples.weights / sigma_square
    whitened = scale * ctf * y
    images = random_data(rng, N, here.samples)._replace(
        data=np.stack([whitened.real, whitened.imag], axis=1).astype(np.float32),
        weights=(scale * ctf**2).astype(np.float32),
    )
    slices = projector.forward(images.rotations, grids, here.placements, here.samples)
    b, g = overlaps(images, grids, here.placements, here.samples)
    residual = (scale * abs(y - contrast * ctf * (slices @ c)) ** 2).sum(axis=1)
    power = (scale * abs(y) ** 2).sum(axis=1)
    quadratic = power - 2 * contrast * b @ c + contrast**2 * np.einsum("q,nqp,p->n", c, g, c)
    np.testing.assert_allclose(quadratic, residual, rtol=1e-4)


def test_image_adjoint_is_the_adjoint_of_mixed_slices(here, images, grids, rng):
    first = rng.normal(size=(N, grids_columns(here))).astype(np.float32)
    found = image_adjoint(images, first, grids, here.placements, here.samples)
    values = as_complex(images.data)[:, :, None] * first[:, None, :]
    rotations, layout = images.rotations, here.molecule.empty_grids
    close(found, projector.adjoint(values, rotations, layout, here.placements, here.samples))


def grids_columns(here):
    return sum(here.molecule.n_functions)


def random_moments(rng, n, n_q, n_atoms=3):
    """A discrete posterior per particle: probabilities, contrasts, state functions, moments."""
    p = rng.dirichlet(np.ones(n_atoms), size=n)
    a, c = rng.uniform(0.5, 1.5, size=(n, n_atoms)), rng.normal(size=(n, n_atoms, n_q))
    first = np.einsum("nj,nj,njq->nq", p, a, c)
    second = np.einsum("nj,nj,njq,njr->nqr", p, a**2, c, c)
    return p, a, c, first.astype(np.float32), second.astype(np.float32)


def test_normal_operator_is_the_sum_over_particles(here, images, grids, slices, rng):
    *_, second = random_moments(rng, N, grids_columns(here))
    found = normal_operator(images, second, grids, here.placements, here.samples)
    values = np.einsum("nqp,nkp,nk->nkq", second, slices, images.weights)
    rotations, layout = images.rotations, here.molecule.empty_grids
    close(found, projector.adjoint(values, rotations, layout, here.placements, here.samples))


def test_residual_adjoint_is_what_the_operator_leaves(here, images, grids, rng):
    *_, first, second = random_moments(rng, N, grids_columns(here))
    columns = here.molecule.columns[1]  # of one component nothing is known
    first[1, columns], second[1, columns], second[1, :, columns] = 0, 0, 0
    rest = grids, here.placements, here.samples
    expected = image_adjoint(images, first, *rest) - normal_operator(images, second, *rest)
    close(residual_adjoint(images, first, second, *rest), expected)


def test_residual_and_power_in_one_pass(here, images, grids, rng, monkeypatch):
    *_, first, second = random_moments(rng, N, grids_columns(here))
    images = images._replace(groups=np.array([0, 2, 0, 2, 2]), is_premultiplied=np.arange(N) == 3)
    noise = rng.uniform(0.5, 2, size=(3, images.power.shape[1])).astype(np.float32)
    monkeypatch.setattr(likelihood, "_CHUNK", 2)
    rest = grids, here.placements, here.samples
    residual, explained = residual_and_power(images, first, second, noise, *rest)
    close(residual, residual_adjoint(images, first, second, *rest))
    each = explained_power(images, first, second, noise, *rest)
    expected = np.stack([each[[0, 2]].sum(axis=0), 0 * each[0], each[[1, 3, 4]].sum(axis=0)])
    close(explained, expected)


def test_arrays_in_any_order(here, images, grids, rng):
    *_, first, second = random_moments(rng, N, grids_columns(here))
    rest = grids, here.placements, here.samples
    other = images._replace(
        data=np.asfortranarray(images.data), weights=np.asfortranarray(images.weights)
    )
    for found, expected in zip(overlaps(other, *rest), overlaps(images, *rest), strict=True):
        np.testing.assert_array_equal(found, expected)
    close(
        residual_adjoint(other, np.asfortranarray(first), np.asfortranarray(second), *rest),
        residual_adjoint(images, first, second, *rest),
    )


def test_normal_operator_is_symmetric_and_positive(here, images, rng):
    *_, second = random_moments(rng, N, grids_columns(here))
    x, y = rng.normal(size=(2, here.molecule.n_coefficients)).astype(np.float32)

    def apply(theta):
        grids = here.molecule.grids(theta)
        values = normal_operator(images, second, grids, here.placements, here.samples)
        return here.molecule.grids_adjoint(values).astype(np.float64)

    norm = np.dot(x, apply(x))
    assert norm > 0
    np.testing.assert_allclose(np.dot(y, apply(x)), np.dot(x, apply(y)), atol=1e-4 * norm)


@pytest.mark.parametrize("premultiplied", [False, True, "some"])
def test_explained_power_particle_by_particle(here, grids, rng, premultiplied):
    """The expected residual power, atom by atom of a discrete posterior."""
    samples, n_k = here.samples, len(here.samples.kx)
    is_premultiplied = {False: [0] * N, True: [1] * N, "some": [0, 1, 1, 0, 1]}[premultiplied]
    is_premultiplied = np.array(is_premultiplied, dtype=bool)
    groups = is_premultiplied.astype(np.int64)
    n_shells = int(samples.shells.max()) + 1
    noise = rng.uniform(0.5, 2, size=(2, n_shells)).astype(np.float32)
    ctf = rng.uniform(-1, 1, size=(N, n_k))
    y = rng.normal(size=(N, n_k)) + 1j * rng.normal(size=(N, n_k))
    seen = np.where(is_premultiplied[:, None], ctf * y, y)  # what the file holds
    model_ctf = np.where(is_premultiplied[:, None], ctf**2, ctf)
    sigma_square = noise[groups][:, samples.shells]
    whitened = samples.weights * ctf * y / sigma_square
    images = WhitenedImages(
        data=np.stack([whitened.real, whitened.imag], axis=1).astype(np.float32),
        weights=(samples.weights * ctf**2 / sigma_square).astype(np.float32),
        power=np.zeros((N, n_shells), dtype=np.float32),
        fill=np.zeros((N, n_shells), dtype=np.float32),
        is_premultiplied=is_premultiplied,
        groups=groups,
        rotations=random_rotations(rng, N),
    )
    slices = projector.forward(images.rotations, grids, here.placements, samples)
    p, a, c, first, second = random_moments(rng, N, grids_columns(here))
    found = explained_power(images, first, second, noise, grids, here.placements, samples)
    expected = np.zeros((N, n_shells))
    for i in range(N):
        power = samples.weights * abs(seen[i]) ** 2
        for j in range(p.shape[1]):
            model = a[i, j] * model_ctf[i] * (slices[i] @ c[i, j])
            drop = power - samples.weights * abs(seen[i] - model) ** 2
            for k, shell in enumerate(samples.shells):
                expected[i, shell] += p[i, j] * drop[k]
    close(found, expected)


def test_images_from_a_file_are_taken_some_at_a_time(images, monkeypatch, tmp_path):
    everywhere = particle_order(images)
    np.testing.assert_array_equal(everywhere, view_order(images.rotations))
    mapped = np.memmap(tmp_path / "data", np.float32, "w+", shape=images.data.shape)
    mapped[:] = images.data
    each = (images.data.nbytes + images.weights.nbytes) // len(images.weights)
    monkeypatch.setattr(likelihood, "_MAPPED", 2 * each)
    order = particle_order(images._replace(data=mapped))
    np.testing.assert_array_equal(order, view_order(images.rotations, window=2))
    assert sorted(order[:2]) == [0, 1]


def test_permuting_particles_permutes_results(here, images, grids):
    order = np.array([3, 0, 4, 1, 2])
    b, g = overlaps(images, grids, here.placements, here.samples)
    shuffled = WhitenedImages(*(column[order] for column in images))
    b_, g_ = overlaps(shuffled, grids, here.placements, here.samples)
    np.testing.assert_array_equal(b_, b[order])
    np.testing.assert_array_equal(g_, g[order])


def test_chunks_make_no_difference(here, images, grids, rng):
    *_, first, second = random_moments(rng, N, grids_columns(here))
    rest = (grids, here.placements, here.samples)
    parts = [slice(0, 1), slice(1, N)]
    chunks = [WhitenedImages(*(column[part] for column in images)) for part in parts]
    whole = overlaps(images, *rest)
    pieces = [overlaps(chunk, *rest) for chunk in chunks]
    for w, *p in zip(whole, *pieces, strict=True):
        np.testing.assert_array_equal(np.concatenate(p), w)
    for function, moments in ((image_adjoint, first), (normal_operator, second)):
        added = sum(function(c, moments[p], *rest) for c, p in zip(chunks, parts, strict=True))
        close(added, function(images, moments, *rest))


def test_samples_beyond_the_grid_are_refused(here, rng):
    coarse = scene(pretzel_like(here.samples.box_size), 3).molecule
    images, grids = random_data(rng, 1, here.samples), coarse.empty_grids
    n_q = grids_columns(here)
    first, second = np.zeros((1, n_q), np.float32), np.zeros((1, n_q, n_q), np.float32)
    noise, rest = np.ones((1, 9), np.float32), (grids, here.placements, here.samples)
    for call in (
        lambda: overlaps(images, *rest),
        lambda: image_adjoint(images, first, *rest),
        lambda: normal_operator(images, second, *rest),
        lambda: explained_power(images, first, second, noise, *rest),
    ):
        with pytest.raises(ShapeError, match="beyond the band limit"):
            call()


def sparse_moments(rng, molecule):
    """Moments of particles that are in one or two of the placements at most."""
    n_q = sum(molecule.n_functions)
    *_, first, second = random_moments(rng, N, n_q)
    used = np.ones((N, n_q), dtype=bool)
    for i, columns in enumerate([molecule.columns[1], molecule.columns[2], molecule.columns[0]]):
        used[i, columns] = False
    used[3] = False  # nowhere at all
    return first * used, second * used[:, :, None] * used[:, None, :]


def test_columns_without_moments_are_skipped_and_nothing_changes(here, images, grids, slices, rng):
    first, second = sparse_moments(rng, here.molecule)
    layout, rest = here.molecule.empty_grids, (here.placements, here.samples)
    found = image_adjoint(images, first, grids, *rest)
    values = as_complex(images.data)[:, :, None] * first[:, None, :]
    close(found, projector.adjoint(values, images.rotations, layout, *rest))
    found = normal_operator(images, second, grids, *rest)
    values = np.einsum("nqp,nkp,nk->nkq", second, slices, images.weights)
    close(found, projector.adjoint(values, images.rotations, layout, *rest))


def test_explained_power_without_some_columns(here, grids, images, slices, rng):
    first, second = sparse_moments(rng, here.molecule)
    n_shells = int(here.samples.shells.max()) + 1
    noise = np.ones((1, n_shells), dtype=np.float32)
    found = explained_power(images, first, second, noise, grids, here.placements, here.samples)
    linear = 2 * np.einsum("nkq,nq,nk->nk", slices.conj(), first, as_complex(images.data)).real
    square = np.einsum("nkq,nqp,nkp,nk->nk", slices.conj(), second, slices, images.weights).real
    expected = np.zeros((N, n_shells))
    for k, shell in enumerate(here.samples.shells):
        expected[:, shell] += linear[:, k] - square[:, k]
    close(found, expected)
    assert not found[3].any()


def test_overlaps_of_wanted_pairs_only(here, images, grids, rng):
    n_q = grids_columns(here)
    wanted = rng.uniform(size=(n_q, n_q)) < 0.5
    wanted = wanted | wanted.T
    b, g = overlaps(images, grids, here.placements, here.samples)
    some_b, some_g = overlaps(images, grids, here.placements, here.samples, wanted)
    np.testing.assert_array_equal(some_b, b)
    np.testing.assert_array_equal(some_g, g * wanted)
    assert not wanted.all()
