"""The same tests wherever chunks are worked on."""

import os
import signal

import numpy as np
import psutil
import pytest

from napari_hypermol.errors import DeviceError
from napari_hypermol.runs.executors import DaskExecutor, executor_at


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


def test_nobody_answers():
    with (
        pytest.raises(DeviceError, match="no Dask scheduler answers"),
        executor_at("tcp://127.0.0.1:9"),
    ):
        pass


@pytest.mark.parametrize("where", ["local:0", "local:many", "slurm:-1"])
def test_how_many_workers_is_a_number(where):
    with pytest.raises(DeviceError, match="expected a number of workers"), executor_at(where):
        pass


def test_a_cluster_of_its_own_ends_with_the_work():
    with executor_at("local:2") as executor:
        assert executor.n_workers() == 2
        pids = set(executor.client.run(os.getpid).values())
        assert os.getpid() not in pids
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Unix signals")
def test_workers_do_not_hear_ctrl_c_even_those_that_come_later():
    with executor_at("local:1") as executor:
        (first,) = executor.client.run(os.getpid).values()
        os.kill(first, signal.SIGINT)
        assert executor.result(executor.submit(os.getpid)) == first
        os.kill(first, signal.SIGKILL)
        second = executor.result(executor.submit(os.getpid))
        assert second != first
        os.kill(second, signal.SIGINT)
        assert executor.result(executor.submit(os.getpid)) == second
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_sums_do_not_depend_on_who_made_them(scheduler):
    with executor_at(scheduler) as executor:
        parts = [np.float32(1.1) * np.arange(5, dtype=np.float32) ** k for k in range(20)]
        totals = [
            executor.result(executor.total([executor.share(part) for part in parts]))
            for _ in range(2)
        ]
    np.testing.assert_array_equal(*totals)
    np.testing.assert_allclose(totals[0], np.sum(parts, axis=0), rtol=1e-6)


def test_work_that_times_out_itself_is_not_waited_for(scheduler):
    with executor_at(scheduler) as executor, pytest.raises(TimeoutError, match="of its own"):
        executor.result(executor.submit(_out_of_time))


def _out_of_time():
    raise TimeoutError("of its own")


def test_a_worker_that_stands_still_is_started_anew_and_given_longer(tmp_path):
    def standing_still_once(mark):  # in here, so that it travels whole
        import time
        from pathlib import Path

        if not Path(mark).exists():
            Path(mark).touch()
            time.sleep(3600)
        time.sleep(4)
        return 7

    with executor_at("local:2") as executor:
        impatient = DaskExecutor(executor.client, stalled=3.0)
        future = impatient.submit(standing_still_once, str(tmp_path / "mark"))
        assert impatient.result(future) == 7
