"""The complete programs in examples/ run, fit on a page, and find what they simulated."""

import itertools
import runpy
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from contracts.black_box import BlackBoxContract

FOLDER = Path(__file__).resolve().parents[1] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
NO_TORCH = "torch is not installed: pip install torch"


def test_there_are_some():
    assert {path.name for path in EXAMPLES} >= {"gaussian_mixture.py", "torch_density.py"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_fits_on_a_page(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60


def ran(name, capsys):
    """All that the program leaves behind, its found states turned the right way round."""
    left = runpy.run_path(str(FOLDER / name), run_name="__main__")
    assert "states, rank correlation" in capsys.readouterr().out
    correlation = spearmanr(left["found"].state_mean[:, 0], left["truth"].states[:, 0])[0]
    return left, correlation


class TestGaussianMixture(BlackBoxContract):
    @pytest.fixture
    def molecule(self):
        return runpy.run_path(str(FOLDER / "gaussian_mixture.py"))["GaussianMixture"](20, 3)

    @pytest.fixture
    def theta(self, molecule, rng):
        return molecule.mean + 0.7 * molecule.std * rng.normal(size=molecule.n_coefficients)


@pytest.mark.slow
def test_gaussian_mixture(capsys):
    left, correlation = ran("gaussian_mixture.py", capsys)
    assert abs(correlation) > 0.95  # 0.98 also with the true molecule
    ends = np.array([[0.0], [1.0]])
    true = left["molecule"].centres(left["theta"], ends)
    found = left["molecule"].centres(left["found"].theta, ends[:: int(np.sign(correlation))])
    errors = [
        np.linalg.norm(found[:, list(order)] - true, axis=-1).max()
        for order in itertools.permutations(range(true.shape[1]))
    ]
    assert min(errors) < 1.0  # [voxels], at both ends of the range


class TestTorchDensity(BlackBoxContract):
    @pytest.fixture
    def example(self):
        pytest.importorskip("torch", reason=NO_TORCH)
        return runpy.run_path(str(FOLDER / "torch_density.py"))

    @pytest.fixture
    def molecule(self, example):
        return example["molecule"]

    @pytest.fixture
    def theta(self, example, rng):
        return example["MEAN"].numpy() + 0.5 * example["STD"].numpy() * rng.normal(size=11)


@pytest.mark.slow
def test_torch_density(capsys):
    torch = pytest.importorskip("torch", reason=NO_TORCH)
    left, correlation = ran("torch_density.py", capsys)
    assert abs(correlation) > 0.9
    ends = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    true, found = (
        np.array([left["places"](torch.as_tensor(theta), end).numpy() for end in order])
        for theta, order in (
            (left["theta"], ends),
            (left["found"].theta, ends if correlation > 0 else ends.flip(0)),
        )
    )
    # beads may be counted from either end of the arm
    error = min(np.linalg.norm(f - true, axis=-1).max() for f in (found, found[:, ::-1]))
    assert error < 1.0  # [voxels]
