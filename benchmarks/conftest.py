"""Where what is timed runs, and where scripts beside it are found."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--device`."""
    parser.addoption("--device", choices=["cpu", "cuda"], default="cpu")


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    """Of kernels and runs."""
    return str(request.config.getoption("--device"))
