"""How much memory and disk a run will need, said before it starts.

Only arrays as long as the stack of particles are counted one by one; everything else is a constant
that was measured.
"""

import re
import shutil
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import psutil

from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.errors import RunFolderError
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.runs.gridded_normal import gridded_size
from napari_hypermol.runs.scratch import is_in_memory
from napari_hypermol.runs.sweep import state_tables
from napari_hypermol.schedules.stage import Stage

__all__ = ["MemoryPlan", "check_room", "peak_memory", "planned_memory", "warn_of_room"]

_PROGRAM = 100 * 2**20  # compiled loops, the libraries of store and report, buffers of one chunk
# Grids, those of a direction beside those of the estimate, and transforms under way; each thread
# adds an adjoint of its own.
_GRID_COPIES = 3
_THETA_COPIES = 12  # vectors of conjugate gradients, priors, maps being written
# A particle's guide with what it is made from [bytes], and the draws of poses that are averaged.
_GUIDE, _AVERAGED = 96 + 240, 24
_WORTH_SAYING = 0.2  # of the most: a range rather than one number
_TABLED, _SCALED = 16384, 4096  # images whose tables, whose D and W, are in the making at once


class MemoryPlan(NamedTuple):
    """What a run is going to need.

    Attributes
    ----------
    memory : int
        The most this process will hold [bytes], files that are mapped not counted.
    disk : int
        Files for what does not fit, gone with the process [bytes].
    spare : int
        Of `memory`, what is not needed where supports are trimmed to a small molecule, or the
        images hold little detail [bytes].
    """

    memory: int
    disk: int
    spare: int = 0

    @property
    def is_vague(self) -> bool:
        """Whether a range is told rather than one number."""
        return self.spare > _WORTH_SAYING * self.memory

    def sentence(self) -> str:
        """In words."""
        least = self.memory - self.spare
        size = f"about {_size(self.memory)}"
        if self.is_vague:
            size = f"{_size(least)} to {_size(self.memory)}"
        disk = f" and {_size(self.disk)} of disk for a while" if self.disk else ""
        return f"needs {size} of memory{disk}"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.0f} MiB"


def planned_memory(
    composite: Composite,
    stages: Sequence[Stage],
    n: int,
    is_remote: bool = False,
    moves_poses: bool = False,
    seen: tuple[Composite, Sequence[Stage]] | None = None,
    held: int | None = None,
    has_samples: bool | None = None,
) -> MemoryPlan:
    """The peak of a run with its images in this process, or at the workers of a cluster.

    Parameters
    ----------
    composite : Composite
    stages : sequence of Stage
    n : int
        Particles.
    is_remote : bool
    moves_poses : bool
    seen : tuple of Composite and sequence of Stage, or None
        What the run will end with, where images have told.
    held : int or None
        By this process before it read any images [bytes]; None: now.
    has_samples : bool or None
        Whether their samples were kept in memory; None: they are not read yet.

    Returns
    -------
    MemoryPlan
    """
    left, gone = (composite, stages) if seen is None else seen
    finest, last = (max(some, key=lambda s: s.max_radius) for some in (stages, gone))
    molecule = left.discretise(last.max_radius, max(s.max_degree for s in gone))
    samples = fourier_samples(composite.box_size, last.max_radius)
    k, q = len(samples.kx), sum(molecule.n_functions)
    read = fourier_samples(composite.box_size, finest.max_radius)
    n_shells = int(read.shells.max()) + 3
    entries = sum(len(table.states) for table in state_tables(molecule))
    # power of the stack; mean weights (float64) and their ratio, twice while the noise changes
    per_image = n_shells * (4 + 2 * (8 + 4))
    # tables of the last sweep and of this one, in pieces and joined
    per_image += entries * 4 * 3
    if not is_remote:  # at workers power and fill stay there, and moments
        per_image += n_shells * 2 * (4 + 4)
        per_image += q * q * (4 + 4 + 4 + 4) + q * 16
    per_image += 400  # poses, optics, states, and the columns of the particle file
    if moves_poses:  # guides, the next beside the last; a tangent vector of every draw
        per_image += 2 * _GUIDE + 12 * _AVERAGED
    held = psutil.Process().memory_info().rss if held is None else held
    memory = held + _PROGRAM + n * per_image
    memory += min(n, _TABLED) * (q * q * (4 + 8 + 4) + entries * 8 * 2)
    memory += min(n, _SCALED) * k * 4
    first = next((s for s in stages if s.max_degree), stages[0])  # nothing is trimmed till then
    least = _of_molecule(composite.discretise(first.max_radius, first.max_degree))
    whole = max(_of_molecule(molecule), least)
    memory += whole
    is_vague = seen is None and any(component.is_trimmed for component in composite.components)
    spare = whole - least if is_vague else 0
    disk = 0
    if not is_remote:
        # samples; D and W, of which there are two each while the noise changes
        of_stack = 8 * n * len(read.kx)
        is_kept = is_in_memory(of_stack) if has_samples is None else has_samples
        data, weights = 8 * n * k, 4 * n * k
        for size, copies, is_here in (
            (of_stack, 1, is_kept), (data, 2, is_in_memory(data)),
            (weights, 2, is_in_memory(weights)),
        ):  # fmt: skip
            if is_here:
                memory += size * copies
            else:
                disk += size * copies
    return MemoryPlan(int(memory), int(disk), max(int(spare), 0))


def _of_molecule(molecule: LinearMolecule) -> int:
    """What is as large as its coefficients or its grids [bytes]."""
    grids = (_GRID_COPIES + numba.get_num_threads()) * molecule.empty_grids.values.nbytes
    # and transforms of the functions, about as large as what is gridded
    return int(grids + _THETA_COPIES * 4 * molecule.n_coefficients + 2 * gridded_size(molecule))


def warn_of_room(plan: MemoryPlan) -> None:
    """Warn if this machine may not hold the rest of a run that has begun."""
    available = int(psutil.virtual_memory().available)
    if plan.memory - psutil.Process().memory_info().rss > available:
        _warn(plan, available)


def _warn(plan: MemoryPlan, available: int) -> None:
    warnings.warn(
        f"the run {plan.sentence()}, and {_size(available)} are free; should it end for want of "
        "memory, resume it on a larger machine or choose a lower resolution",
        stacklevel=4,
    )


def check_room(plan: MemoryPlan, folder: Path) -> None:
    """Refuse a run that its machine cannot hold, before it has begun; warn if it may not.

    Raises
    ------
    RunFolderError
    """
    here = folder
    while not here.exists():
        here = here.parent
    free = shutil.disk_usage(here).free
    if plan.disk > free:
        raise RunFolderError(
            f"{folder}: the run needs {_size(plan.disk)} there for particles that do not fit into "
            f"memory, and {_size(free)} are free; make room, choose another --out, or a lower "
            "resolution"
        )
    available: Any = psutil.virtual_memory().available
    # what is held already is not asked for again
    wanted = plan.memory - psutil.Process().memory_info().rss
    if np.int64(available) < wanted <= np.int64(available) + plan.spare:
        _warn(plan, int(available))
    elif wanted > np.int64(available):
        raise RunFolderError(
            f"the run needs {_size(plan.memory)} of memory, and {_size(int(available))} are free; "
            "choose a lower resolution or state degree, or --scheduler with more machines"
        )


def peak_memory() -> int:
    """The most memory this process has held [bytes]."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    status = Path("/proc/self/status")
    if status.exists():
        # of this program only: the number below begins with what started it, a window perhaps
        found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)
        if found is not None:
            return 1024 * int(found[1])
    import resource  # Unix only

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else 1024 * peak)
