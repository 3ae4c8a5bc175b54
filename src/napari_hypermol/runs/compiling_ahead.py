"""Processes that compile, beside a first run, what it is going to need.

A loop is compiled when it is first called, by one processor, while the others wait: a minute or two
in all. So the first run of an installation starts others, which call the loops that come last on
next to nothing; what they have compiled the run then loads. Which parts are compiled is told by
files in the cache folder, which do not see when compiled code is deleted: then nobody helps.

    python -m napari_hypermol.runs.compiling_ahead [PART ...]

compiles these parts, or all, and may be called after an installation.
"""

import contextlib
import hashlib
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import llvmlite.binding
import numba
import numpy as np
import psutil
from numba.core.compiler_lock import global_compiler_lock

from napari_hypermol import __version__
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.table_cache import cache_folder
from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.posterior.collapsed import PosePrior, collapsed_evidence
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.alignment import mirror_symmetry
from napari_hypermol.runs.coefficient_step import maximisation
from napari_hypermol.runs.grid_search import random_grid, search_images, search_target
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.noise_step import updated_noise
from napari_hypermol.runs.pose_guide import fresh_guide
from napari_hypermol.runs.pose_step import PoseSettings, collapsed_model, pose_step
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.sweep import expectation, state_tables

__all__ = ["compile_parts", "compiling_ahead", "is_compiled", "parts_of", "start", "tell_compiled"]

_WANTED = "--while-wanted"  # until the standard input is closed
_MOST_HELPERS = 3
_ROOM = 2**30  # bytes that are free for each; it takes some 300 MB
_BOX, _RADIUS, _N = 8, 3.0, 2


class _Little:
    """A ball of two functions and two images of it: what the loops are called with."""

    def __init__(self) -> None:
        ball = Component("ball", Ball((0.0, 0.0, 0.0), 2.4, 1.0), CosineBasis(1))
        molecule = Composite([ball], _BOX).discretise(_RADIUS, 1)
        samples = fourier_samples(_BOX, _RADIUS)
        k, n_shells = len(samples.kx), int(samples.shells.max()) + 1
        images = WhitenedImages(
            data=np.ones((_N, 2, k), np.float32),
            weights=np.ones((_N, k), np.float32),
            power=np.ones((_N, n_shells), np.float32),
            fill=np.ones((_N, n_shells), np.float32),
            is_premultiplied=np.zeros(_N, np.bool_),
            groups=np.zeros(_N, np.int64),
            rotations=np.tile(np.eye(3, dtype=np.float32), (_N, 1, 1)),
        )
        self.problem = StageProblem(
            images, molecule, samples, np.ones((_N, n_shells)), 1.0, np.zeros((_N, 2))
        )
        theta = np.full(molecule.n_coefficients, 1e-2, dtype=np.float32)
        spectra = [np.ones((2, basis.n_shells)) for basis in molecule.bases]
        self.estimate = Estimate(theta, spectra, np.ones((1, n_shells)), 0.1)
        self.prior = PosePrior(images.rotations, 1.0, np.zeros((_N, 2)), 0.1)
        self.rng = np.random.default_rng(0)

        first = np.ones((_N, 2), np.float32)
        nothing = np.zeros((_N, 1))
        self.posterior = ParticlePosterior(
            nothing, nothing, np.ones(_N), np.ones(_N), first, first[:, :, None] * first[:, None],
            np.zeros(_N), (),
        )  # fmt: skip

    def search(self) -> None:
        """With and without sums."""
        molecule, samples = self.problem.molecule, self.problem.samples
        grid = random_grid(self.rng, 0, 1.0, 1.0)
        nodes = np.ones((1, 2), np.float32)
        target = search_target(molecule, self.estimate.theta, nodes, np.zeros(1), grid, samples)
        images = self.problem.here()[1]
        search_images(images, target)
        search_images(images, target, n_cells=4, with_sums=False)

    def states(self) -> None:
        """Slices, overlaps and tables of states."""
        tables = state_tables(self.problem.molecule)
        expectation(self.problem, self.estimate, tables, self.rng)

    def solve(self) -> None:
        """Normal equations of one component, and of several, and what stands in for them."""
        for tolerance in (None, 1e-2):
            maximisation(self.problem, self.estimate, self.posterior, 2, tolerance)

    def normal(self) -> None:
        """Normal equations alone."""
        theta, posterior = self.estimate.theta, self.posterior
        self.problem.residual(theta, posterior.first, posterior.second)
        self.problem.normal(theta, posterior.second)
        self.problem.adjoint(posterior.first)

    def noise(self) -> None:
        """The power that the molecule explains."""
        updated_noise(self.problem, self.estimate, self.posterior)

    def maps(self) -> None:
        """Maps, and their comparison with one another."""
        HyperMaps(self.problem.molecule, self.estimate.theta).volume([0.5])
        mirror_symmetry(self.rng.random((24, 24, 24), dtype=np.float32))

    def guides(self) -> None:
        """How well images tell poses."""
        fresh_guide(self.problem, self.estimate, self.prior)

    def steps(self) -> None:
        """Steps of poses."""
        settings = PoseSettings("refine", "refine", rotation_std=0.1, shift_std=3.0)
        problem, estimate = self.problem, self.estimate
        pose_step(problem, estimate, None, self.prior, settings, self.rng, 2)

    def evidence(self) -> None:
        """Poses that are compared with one another."""
        images = self.problem.here()[1]
        collapsed_evidence(
            images,
            images.rotations[:, None],
            np.zeros((_N, 9, 2)),
            np.zeros((_N, 2)),
            self.prior,
            collapsed_model(self.problem, self.estimate, None, self.rng),
        )


_PARTS: dict[str, Callable[[_Little], None]] = {
    "states": _Little.states,
    "solve": _Little.solve,
    "normal": _Little.normal,
    "noise": _Little.noise,
    "maps": _Little.maps,
    "guides": _Little.guides,
    "steps": _Little.steps,
    "search": _Little.search,
    "evidence": _Little.evidence,
}
# In the order in which runs need them. Part of "solve" is "normal", which is needed later than the
# rest of it, so that who goes backwards has it ready by then.
_KNOWN = ("states", "solve", "normal", "noise", "maps")
_REFINED = ("states", "solve", "normal", "noise", "guides", "steps", "maps")
_SEARCHED = (
    "search", "solve", "normal", "noise", "maps", "guides", "steps", "states", "evidence",
)  # fmt: skip
_HERE = {"solve", "normal", "maps", "evidence"}  # also where a GPU does the rest


def parts_of(moves_poses: bool, is_search: bool, device: str) -> list[str]:
    """The parts that a run needs, those first that it needs first."""
    order = _SEARCHED if is_search else _REFINED if moves_poses else _KNOWN
    return [part for part in order if device == "cpu" or part in _HERE]


def _mark(part: str) -> Path:
    """The file that says that a part is compiled, by this code, compiler and processor."""
    about = (
        __version__, numba.__version__, platform.python_version(), platform.machine(),
        llvmlite.binding.get_host_cpu_name(), str(Path(__file__).parent), numba.config.CACHE_DIR,
    )  # fmt: skip
    return (
        cache_folder() / f"compiled-{hashlib.sha256(repr(about).encode()).hexdigest()[:16]}-{part}"
    )


def is_compiled(part: str) -> bool:
    """Whether it has been, as far as the cache folder tells; one that cannot tell says yes."""
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        return _mark(part).exists() or not os.access(cache_folder(), os.W_OK)
    except (OSError, RuntimeError):  # RuntimeError: no home folder
        return True


def tell_compiled(parts: Sequence[str] = tuple(_PARTS)) -> None:
    """Have the cache folder say that parts are compiled."""
    for part in parts:
        with contextlib.suppress(OSError, RuntimeError):
            mark = _mark(part)
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()


def compile_parts(parts: Sequence[str] = tuple(_PARTS)) -> None:
    """Compile parts in this process, or load them."""
    little = _Little()
    for part in parts:
        _PARTS[part](little)
        tell_compiled([part])


@contextlib.contextmanager
def compiling_ahead(parts: Sequence[str]) -> Iterator[None]:
    """Have those of the parts compiled by other processes that are not.

    Each begins with what is needed last. After the block, and if this process dies, they end when
    they have compiled what they are at.
    """
    missing = [part for part in parts if not is_compiled(part)]
    n_helpers = min(_most_helpers(), len(missing))
    with contextlib.ExitStack() as stay:
        with contextlib.suppress(OSError):  # a run can do without
            for i in range(n_helpers):
                helper = start(missing[::-1][i::n_helpers])
                assert helper.stdin is not None
                stay.callback(helper.stdin.close)
        yield


def _most_helpers() -> int:
    """As many as there are processors to spare, and memory."""
    if not sys.executable or getattr(sys, "frozen", False):
        return 0  # there is no Python to call
    room = psutil.virtual_memory().available // _ROOM
    return int(min(numba.get_num_threads() - 1, _MOST_HELPERS, room))


def start(parts: Sequence[str]) -> subprocess.Popen[bytes]:
    """A process that compiles parts, one after the other, until its input is closed."""
    # -P: no module that lies about in the working directory is taken for one of Python's
    command = [sys.executable, "-P", "-m", "napari_hypermol.runs.compiling_ahead", _WANTED, *parts]
    silent = subprocess.DEVNULL
    # one thread: others would wait for the processors that the run has
    alone = os.environ | {"NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=silent, stderr=silent, env=alone,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # of Windows
    )  # fmt: skip


def _end_with_input() -> None:
    """End this process when nobody is left who wants what it does."""
    os.read(0, 1)  # sys.stdin would be locked while the interpreter ends
    with global_compiler_lock:  # never between the two files of a loop in numba's cache
        os._exit(0)


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(5)
    asked = sys.argv[1:]
    if _WANTED in asked:
        asked.remove(_WANTED)
        threading.Thread(target=_end_with_input, daemon=True).start()
    compile_parts(asked or tuple(_PARTS))
