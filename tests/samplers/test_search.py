"""Against loops over cells, in double, from the sum over samples of |Y - H S A|^2 itself."""

import numba
import numpy as np
import pytest
from scipy.special import logsumexp

from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.imaging.shift import shift_phases
from napari_hypermol.samplers import search as module
from napari_hypermol.samplers.search import SearchTarget, search

N, T, R, S = 5, 3, 300, 4  # more rotations than are passed over together, not a multiple


class Stack:
    """Images Y of true cells under noise of any spectrum, and what a search is given of them."""

    def __init__(self, rng, amplitude=1.0):
        samples = fourier_samples(12, 3)
        k = len(samples.kx)
        self.slices = amplitude * (rng.normal(size=(T, R, k)) + 1j * rng.normal(size=(T, R, k)))
        self.shifts = np.array([[0, 0], [1.5, 0], [0, -1], [-2, 1.2]])
        self.moved = shift_phases(self.shifts, samples, 1.0)
        self.ctf, self.sigma_square = rng.normal(size=(N, k)), rng.uniform(0.5, 2, k)
        self.scale = samples.weights / self.sigma_square
        self.true = (rng.integers(T, size=N), rng.integers(R, size=N), rng.integers(S, size=N))
        t, r, s = self.true
        noise = rng.normal(size=(N, k)) + 1j * rng.normal(size=(N, k))
        self.images = self.ctf * self.moved[s] * self.slices[t, r] + noise
        self.log_prior = np.log(rng.dirichlet(np.ones(T * S)).reshape(T, S))
        whitened = self.scale * self.ctf * self.images
        self.data = np.stack([whitened.real, whitened.imag], axis=1).astype(np.float32)
        self.weights = (self.scale * self.ctf**2).astype(np.float32)
        self.target = SearchTarget(
            self.slices.astype(np.complex64),
            self.moved.conj().astype(np.complex64),
            self.log_prior.astype(np.float32),
        )

    def log_likelihood(self):
        """Against the empty molecule; (n, s, t, r)."""
        out = np.empty((N, S, T, R))
        for i in range(N):
            empty = (self.scale * abs(self.images[i]) ** 2).sum()
            for s in range(S):
                for t in range(T):
                    model = self.ctf[i] * self.moved[s] * self.slices[t]
                    square = (self.scale * abs(self.images[i] - model) ** 2).sum(axis=1)
                    out[i, s, t] = 0.5 * (empty - square)
        return out

    def posterior(self, temperature):
        """And the log evidence."""
        log_p = temperature * self.log_likelihood() + self.log_prior.T[:, :, None]
        log_evidence = logsumexp(log_p, axis=(1, 2, 3))
        return np.exp(log_p - log_evidence[:, None, None, None]), log_evidence - np.log(R)


@pytest.fixture
def stack(rng):
    return Stack(rng, amplitude=0.4)


def loops(stack, p):
    """Sums over particles and shifts, cell after cell."""
    data = np.zeros((T, R, 2, len(stack.scale)))
    by_state = p.sum(axis=1)
    weights = np.einsum("ntr,nk->trk", by_state, stack.weights)
    for i in range(N):
        for s in range(S):
            turned = stack.moved[s].conj() * (stack.data[i, 0] + 1j * stack.data[i, 1])
            for part, values in enumerate((turned.real, turned.imag)):
                data[:, :, part] += p[i, s, :, :, None] * values
    return data, weights, by_state.sum(axis=0), p.sum(axis=(0, 2, 3))


def check_sums(found, expected, tolerance=2e-5):
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, atol=tolerance * abs(two).max())


@pytest.mark.parametrize("temperature", [1.0, 0.3, 0.01])
def test_cells_and_evidence(stack, temperature):
    cells, _ = search(stack.data, stack.weights, stack.target, temperature, n_cells=6)
    p, log_evidence = stack.posterior(temperature)
    np.testing.assert_allclose(cells.log_evidence, log_evidence, atol=2e-4)
    by_rotation = p.sum(axis=(1, 2))
    for i in range(N):
        expected = np.sort(by_rotation[i])[::-1][:6]
        found = np.exp(cells.log_weights[i])
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-7)
        np.testing.assert_allclose(by_rotation[i, cells.rotations[i]], found, rtol=1e-3, atol=2e-7)
        for r, s, t, weight in zip(
            cells.rotations[i], cells.shifts[i], cells.states[i], found, strict=True
        ):
            if weight > 1e-6:
                assert p[i, s, t, r] == pytest.approx(p[i, :, :, r].max(), rel=1e-3)


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_sums_are_those_of_loops(stack, temperature):
    _, sums = search(stack.data, stack.weights, stack.target, temperature)
    check_sums(sums, loops(stack, stack.posterior(temperature)[0]), 2e-4)
    assert sums.mass.sum() == pytest.approx(N, rel=1e-5)
    assert sums.shift_mass.sum() == pytest.approx(N, rel=1e-5)


def test_wrong_sign_of_the_shift_is_noticed(stack):
    target = stack.target._replace(phases=stack.target.phases.conj())
    _, sums = search(stack.data, stack.weights, target)
    with pytest.raises(AssertionError):
        check_sums(sums, loops(stack, stack.posterior(1.0)[0]), 1e-2)


def test_true_cells_are_found_where_the_noise_is_low(rng):
    stack = Stack(rng, amplitude=5)
    cells, _ = search(stack.data, stack.weights, stack.target)
    found = cells.states[:, 0], cells.rotations[:, 0], cells.shifts[:, 0]
    np.testing.assert_array_equal(found, stack.true)
    np.testing.assert_allclose(cells.log_weights[:, 0], 0, atol=1e-3)


@pytest.mark.parametrize("temperature", [1.0, 0.05])
def test_dense_and_sparse_sums_agree(stack, temperature, monkeypatch):
    sums = []
    for dense in (0.0, 1.0):
        monkeypatch.setattr(module, "_DENSE", dense)
        sums.append(search(stack.data, stack.weights, stack.target, temperature)[1])
    check_sums(*sums)


@pytest.mark.parametrize(("held", "scored"), [(1, 1), (2 * S * T * R, 1), (1, 3 * S * T * R)])
def test_chunks_make_no_difference(stack, held, scored, monkeypatch):
    whole = search(stack.data, stack.weights, stack.target, n_cells=3)
    monkeypatch.setattr(module, "_SCRATCH", held)
    monkeypatch.setattr(module, "_CACHED", scored)
    parts = search(stack.data, stack.weights, stack.target, n_cells=3)
    for one, two in zip(whole[0], parts[0], strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)
    check_sums(parts[1], whole[1])
    alone = search(stack.data, stack.weights, stack.target, n_cells=3, with_sums=False)
    assert alone[1] is None
    for one, two in zip(whole[0], alone[0], strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)


def test_threads_make_no_difference(stack, monkeypatch):
    monkeypatch.setattr(module, "_DENSE", 1.0)
    threads = numba.get_num_threads()
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    many = search(stack.data, stack.weights, stack.target)
    numba.set_num_threads(1)
    try:
        one = search(stack.data, stack.weights, stack.target)
    finally:
        numba.set_num_threads(threads)
    check_sums(one[1], many[1], 1e-6)


def test_maxcc_takes_the_highest_correlation(stack):
    flat = stack.target._replace(log_prior=np.zeros((T, S), dtype=np.float32))
    cells, sums = search(stack.data, stack.weights, flat, mode="maxcc")
    whitened = stack.scale * stack.ctf * stack.images
    p = np.zeros((N, S, T, R))
    for i in range(N):
        moved = stack.moved.conj() * whitened[i]
        b = np.einsum("trk,sk->str", stack.slices.conj(), moved).real
        norm = np.einsum("trk,k->tr", abs(stack.slices) ** 2, stack.weights[i])
        best = np.unravel_index(np.argmax(b / np.sqrt(norm)), b.shape)
        assert (cells.shifts[i, 0], cells.states[i, 0], cells.rotations[i, 0]) == best
        p[i][best] = 1
    np.testing.assert_array_equal(cells.log_weights[:, 0], 0)
    check_sums(sums, loops(stack, p))


def test_maxcc_and_marginal_differ(rng):
    """Slices of unlike norms: at contrast 1 the weak ones lose."""
    stack = Stack(rng, amplitude=0.2)
    target = stack.target._replace(slices=stack.target.slices * np.float32([[[1]], [[5]], [[9]]]))
    modes = ("marginal", "maxcc")
    found = [search(stack.data, stack.weights, target, mode=m)[0].states for m in modes]
    assert not np.array_equal(*found)


@pytest.mark.parametrize("mode", ["marginal", "maxcc"])
def test_every_particle_has_mass_one_even_where_cells_tie(stack, mode):
    """An empty molecule: all cells of a shift and state are alike."""
    target = stack.target._replace(slices=np.zeros_like(stack.target.slices))
    cells, sums = search(stack.data, stack.weights, target, mode=mode)
    assert sums.mass.sum() == pytest.approx(N, rel=1e-5)
    assert sums.shift_mass.sum() == pytest.approx(N, rel=1e-5)
    np.testing.assert_allclose(cells.log_evidence, 0, atol=1e-5)  # the prior is normalised


def test_states_without_prior_mass_are_never_chosen(stack):
    log_prior = stack.target.log_prior.copy()
    log_prior[1] = -np.inf
    cells, sums = search(stack.data, stack.weights, stack.target._replace(log_prior=log_prior), 0.1)
    assert not (cells.states == 1).any()
    assert not sums.mass[1].any()
    assert np.isfinite(cells.log_evidence).all()


def test_more_cells_than_rotations_are_all_of_them(stack):
    few = stack.target._replace(slices=np.ascontiguousarray(stack.target.slices[:, :3]))
    cells, _ = search(stack.data, stack.weights, few, 0.01, n_cells=9)
    np.testing.assert_array_equal(np.sort(cells.rotations), [[0, 1, 2]] * N)
    assert (np.diff(cells.log_weights) <= 0).all()
    np.testing.assert_allclose(np.exp(cells.log_weights).sum(axis=1), 1, rtol=1e-5)


def test_permuting_particles_permutes_cells(stack, rng):
    order = rng.permutation(N)
    cells, _ = search(stack.data, stack.weights, stack.target, 0.2)
    other, _ = search(stack.data[order], stack.weights[order], stack.target, 0.2)
    for one, two in zip(cells, other, strict=True):
        np.testing.assert_allclose(two, one[order], rtol=1e-4, atol=1e-5)


def test_exponential(rng):
    x = -100 * rng.random(1000).astype(np.float32)
    found = np.array([module._exp(value) for value in [*x, np.float32(0)]])
    expected = np.exp(np.maximum(np.append(x, 0), -80.0))
    np.testing.assert_allclose(found, expected, rtol=1e-5)  # rounding of the argument, 80 x 6e-8
    assert found[-1] == 1
