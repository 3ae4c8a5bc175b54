"""A Dask cluster of real processes on this machine."""

import contextlib
import os

import numba


@contextlib.contextmanager
def cluster_of(n_workers):
    """A local cluster; its workers share the processors and compile nothing twice."""
    from distributed import LocalCluster

    threads = max(1, numba.get_num_threads() // n_workers)
    environment = {"NUMBA_NUM_THREADS": str(threads)}
    if "NUMBA_CACHE_DIR" in os.environ:
        environment["NUMBA_CACHE_DIR"] = os.environ["NUMBA_CACHE_DIR"]
    with LocalCluster(
        n_workers=n_workers, threads_per_worker=1, dashboard_address=":0", env=environment
    ) as cluster:
        yield cluster
