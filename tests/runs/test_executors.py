"""The same tests wherever chunks are worked on."""

import numpy as np
import pytest

from napari_hypermol.errors import DeviceError
from napari_hypermol.io import read_particles
from napari_hypermol.runs.executors import InlineExecutor, executor_at
from napari_hypermol.runs.fourier_stack import read_fourier_stack


@pytest.fixture(scope="module")
def scheduler():
    """A Dask scheduler with two workers, in this process."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(params=["inline", "dask"])
def executor(request):
    address = request.getfixturevalue("scheduler") if request.param == "dask" else None
    with executor_at(address) as executor:
        yield executor


def test_results_come_in_order(executor):
    assert list(executor.map(np.sqrt, range(30))) == list(np.sqrt(np.arange(30)))


def test_what_goes_wrong_in_a_chunk_is_raised_here(executor):
    with pytest.raises(ZeroDivisionError):
        list(executor.map((1).__truediv__, [1, 0]))


def test_images_are_the_same_wherever_they_are_read(executor, pretzel_run):
    particles = read_particles(pretzel_run.data / "particles.star").particles
    in_sevens = particles._replace(images=particles.images.rechunk((7, -1, -1)))
    here = read_fourier_stack(in_sevens, 6.0, executor=InlineExecutor())
    there = read_fourier_stack(in_sevens, 6.0, executor=executor)
    np.testing.assert_array_equal(here.values, there.values)
    np.testing.assert_array_equal(here.power, there.power)


def test_nobody_answers():
    with (
        pytest.raises(DeviceError, match="no Dask scheduler answers"),
        executor_at("tcp://127.0.0.1:9"),
    ):
        pass
