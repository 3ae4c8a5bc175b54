"""Where what is timed runs, and where scripts beside it are found."""

import contextlib
import sys
from pathlib import Path

import pytest

from napari_hypermol.backend import choose_device

sys.path.insert(0, str(Path(__file__).parent))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--device`, unless the tests beside these have added theirs."""
    with contextlib.suppress(ValueError):
        parser.addoption("--device", choices=["cpu", "cuda"], default="cpu")


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    """Of kernels and runs."""
    return choose_device(str(request.config.getoption("--device")))
