"""A search on a device against the plain one, which is tested with loops over cells."""

import numpy as np
import pytest

from napari_hypermol.backend import as_device, as_numpy
from napari_hypermol.samplers import search_cuda
from napari_hypermol.samplers.search import Cells, SearchSums, SearchTarget, search

N, T, R, S, K = 7, 3, 300, 4, 19


@pytest.fixture
def given(rng):
    """Data, weights and target; one posterior sharp, the next broad."""
    slices = 0.3 * (rng.normal(size=(T, R, K)) + 1j * rng.normal(size=(T, R, K)))
    phases = np.exp(1j * rng.uniform(0, 6, size=(S, K)))
    weights = rng.uniform(0.2, 1.5, size=(N, K)).astype(np.float32)
    t, r, s = rng.integers(T, size=N), rng.integers(R, size=N), rng.integers(S, size=N)
    seen = slices[t, r] * phases[s].conj() * weights
    noise = 0.7 * np.sqrt(weights) * (rng.normal(size=(N, K)) + 1j * rng.normal(size=(N, K)))
    data = np.stack([(seen + noise).real, (seen + noise).imag], axis=1).astype(np.float32)
    sharpness = np.geomspace(0.5, 40, N).astype(np.float32)[:, None]
    data, weights = sharpness[:, None] * data, sharpness * weights
    log_prior = np.log(rng.dirichlet(np.ones(T * S)).reshape(T, S))
    log_prior[1, 2] = -np.inf
    target = SearchTarget(
        slices.astype(np.complex64), phases.astype(np.complex64), log_prior.astype(np.float32)
    )
    return data, weights, target


def on_device(given):
    data, weights, target = given
    return as_device(data), as_device(weights), SearchTarget(*map(as_device, target))


def there(given, cupy, *more, **options):
    """The search of the device, what it found brought back."""
    cells, sums = search(*on_device(given), *more, **options)
    for column in (*cells, *(sums or ())):
        assert isinstance(column, cupy.ndarray)
    if sums is not None:
        sums = SearchSums(*map(as_numpy, sums))
    return Cells(*map(as_numpy, cells)), sums


def agree(found, expected):
    """The same, but that cells next to nothing may change places, to which rounding is enough."""
    (cells, sums), (other_cells, other_sums) = found, expected
    for one, two in zip(cells, other_cells, strict=True):
        assert one.shape == two.shape
        assert one.dtype == two.dtype
    np.testing.assert_allclose(cells.log_evidence, other_cells.log_evidence, rtol=1e-6, atol=1e-4)
    weights, other_weights = np.exp(cells.log_weights), np.exp(other_cells.log_weights)
    np.testing.assert_allclose(weights, other_weights, rtol=1e-3, atol=1e-7)
    probable = other_weights > 1e-6
    assert probable[:, 0].all()
    for one, two in zip(cells[:3], other_cells[:3], strict=True):
        np.testing.assert_array_equal(one[probable], two[probable])
    assert (sums is None) == (other_sums is None)
    for one, two in zip(sums or (), other_sums or (), strict=True):
        assert one.shape == two.shape
        assert one.dtype == two.dtype
        np.testing.assert_allclose(one, two, atol=1e-4 * abs(two).max())


@pytest.mark.parametrize("n_cells", [1, 6])
@pytest.mark.parametrize("with_sums", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 0.2, 0.01])
@pytest.mark.parametrize("mode", ["marginal", "maxcc"])
def test_the_same_as_in_main_memory(given, cupy, mode, temperature, with_sums, n_cells):
    how = (temperature, mode, n_cells, with_sums)
    agree(there(given, cupy, *how), search(*given, *how))


def test_another_posterior_is_noticed(given, cupy):
    with pytest.raises(AssertionError):
        agree(there(given, cupy, 0.98), search(*given, 1.0))
    turned = (*given[:2], given[2]._replace(phases=given[2].phases.conj()))
    with pytest.raises(AssertionError):
        agree(there(turned, cupy), search(*given))


@pytest.mark.parametrize("mode", ["marginal", "maxcc"])
@pytest.mark.parametrize("particles", [1, 2, 3, N + 1])
def test_chunks_make_no_difference(given, cupy, mode, particles, monkeypatch):
    whole = there(given, cupy, 0.2, mode, 3)
    lengths, original = [], search_cuda._chunk
    monkeypatch.setattr(
        search_cuda,
        "_chunk",
        lambda data, *rest: lengths.append(len(data)) or original(data, *rest),
    )
    monkeypatch.setattr(search_cuda, "_SCRATCH", particles * 4 * S * (T * R + 4 * K))
    agree(there(given, cupy, 0.2, mode, 3), whole)
    assert max(lengths) == min(particles, N)
    assert sum(lengths) == N


def test_chunks_are_smaller_where_little_memory_is_free(given, cupy, monkeypatch):
    of_one = 4 * S * (T * R + 4 * K)
    monkeypatch.setattr(search_cuda, "free_device_memory", lambda: 5 * 3 * of_one + 100)
    assert search_cuda._at_once(of_one // 4) == 3
    monkeypatch.setattr(search_cuda, "free_device_memory", lambda: 0)
    assert search_cuda._at_once(of_one // 4) == 1
    agree(there(given, cupy), search(*given))


def test_cells_are_left_out_as_in_main_memory(given, cupy):
    """Hardly any cell of a sharp posterior is in use, and the same ones."""
    sharp = (given[0][-1:], given[1][-1:], given[2])
    _, found = there(sharp, cupy)
    _, expected = search(*sharp)
    used = expected.mass > 0
    assert 0 < used.sum() < 0.1 * used.size
    assert ((found.mass > 0) != used).sum() <= 1  # at the border rounding decides


@pytest.mark.parametrize("mode", ["marginal", "maxcc"])
def test_of_cells_that_tie_the_first_are_taken(given, cupy, mode):
    """An empty molecule: all cells of a shift and state are alike."""
    target = given[2]._replace(
        slices=np.zeros_like(given[2].slices), log_prior=np.full((T, S), -np.log(T * S), np.float32)
    )
    empty = (*given[:2], target)
    cells, sums = there(empty, cupy, 1.0, mode, 5)
    expected, expected_sums = search(*empty, 1.0, mode, 5)
    for one, two in zip(cells[:3], expected[:3], strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(cells.rotations, [[0, 1, 2, 3, 4]] * N)
    np.testing.assert_allclose(cells.log_evidence, 0, atol=1e-5)  # the prior is normalised
    np.testing.assert_allclose(sums.mass, expected_sums.mass, rtol=1e-5)


def test_states_without_prior_mass_are_never_chosen(given, cupy):
    log_prior = given[2].log_prior.copy()
    log_prior[1] = -np.inf
    cells, sums = there((*given[:2], given[2]._replace(log_prior=log_prior)), cupy, 0.1)
    assert not (cells.states == 1).any()
    assert not sums.mass[1].any()
    assert np.isfinite(cells.log_evidence).all()


def test_more_cells_than_rotations_are_all_of_them(given, cupy):
    few = (*given[:2], given[2]._replace(slices=np.ascontiguousarray(given[2].slices[:, :3])))
    how = (0.01, "marginal", 9)
    found = there(few, cupy, *how)
    np.testing.assert_array_equal(np.sort(found[0].rotations), [[0, 1, 2]] * N)
    agree(found, search(*few, *how))


def test_no_particles(given, cupy):
    none = (given[0][:0], given[1][:0], given[2])
    cells, sums = there(none, cupy, n_cells=2)
    assert cells.rotations.shape == (0, 2)
    assert not sums.mass.any()


def test_an_array_left_in_main_memory_is_refused(given, cupy):
    data, weights, _ = on_device(given)
    with pytest.raises((TypeError, ValueError)):
        search(data, weights, given[2])
