"""The cat and the pretzel to play with: simulated particles, and the molecule they were made from.

Simulated once into the user's cache folder, the same numbers everywhere.
"""

import os
import shutil
import sys
import tempfile
from functools import cached_property
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from napari_hypermol.io.mrc import read_volume
from napari_hypermol.io.particle_file import read_particles
from napari_hypermol.plugin.layers import LayerData, maps_layer, particles_layer
from napari_hypermol.runs.state_axes import StateAxis
from napari_hypermol.synthetic.simulate import Simulation, simulate

__all__ = ["TrueMaps", "cache_folder", "make_cat", "make_pretzel"]

_VERSION = 1  # raise when the simulation changes, or users keep seeing the old one


def cache_folder() -> Path:
    """Where simulated samples are kept, by the custom of the platform."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "napari-hypermol" / f"samples-{_VERSION}"


class TrueMaps:
    """The true molecule at the states that `simulate` wrote maps for; a `StateMaps`.

    Parameters
    ----------
    folder : Path
        The ``truth`` folder of a simulation.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        listing = yaml.safe_load((folder / "truth.yaml").read_text(encoding="utf-8"))
        self._components = listing["components"]
        self._moving = [c for c in self._components if "states" in c]

    @property
    def dims(self) -> int:
        """Number of state coordinates."""
        return len(self._moving)

    @property
    def axes(self) -> tuple[StateAxis, ...]:
        """A range of each moving component."""
        return tuple(StateAxis(f"tau{i}", c["name"]) for i, c in enumerate(self._moving, 1))

    @cached_property
    def _rigid(self) -> NDArray[np.float32]:
        """Sum of the components that do not move."""
        rigid = [c for c in self._components if "states" not in c]
        parts = [read_volume(self._folder / c["volumes"][0]).values for c in rigid]
        shape = read_volume(self._folder / self._components[0]["volumes"][0]).values.shape
        return sum(parts, np.zeros(shape, dtype=np.float32))

    @property
    def box_size(self) -> int:
        """Voxels along an edge."""
        return len(self._rigid)

    def volume(self, states: list[float]) -> NDArray[np.float32]:
        """Density at the written states nearest to `states`."""
        total = self._rigid.copy()
        for component, state in zip(self._moving, states, strict=True):
            nearest = int(np.argmin(np.abs(np.array(component["states"]) - state)))
            total += read_volume(self._folder / component["volumes"][nearest]).values
        return total

    @cached_property
    def contrast_limits(self) -> tuple[float, float]:
        """0 and the highest density half way and at both ends."""
        ends = [self.volume([s] * self.dims).max() for s in (0.0, 0.5, 1.0)]
        return (0.0, float(max(ends)))


def make_cat() -> list[LayerData]:
    """The cat, whose head turns: particles, and the true molecule with one slider."""
    return _sample("cat")


def make_pretzel() -> list[LayerData]:
    """The pretzel and its two arms: particles, and the true molecule with two sliders."""
    return _sample("pretzel")


def _sample(molecule: str) -> list[LayerData]:
    plan = Simulation(molecule, n=500, box_size=64, pixel_size=3.0, snr=0.1, seed=0)
    folder = _simulated(plan)
    data, attributes, kind = particles_layer(read_particles(folder / "particles.star"))
    truth = TrueMaps(folder / "truth")
    facts = {"particles": str(folder / "particles.star"), "recipe": str(folder / "recipe.yaml")}
    molecule_layer = maps_layer(truth, plan.pixel_size, f"{molecule}, true molecule", facts)
    attributes |= {"name": f"{molecule}, particles", "visible": False}
    attributes["metadata"]["hypermol"]["recipe"] = facts["recipe"]
    return [(data, attributes, kind), molecule_layer]


def _simulated(plan: Simulation) -> Path:
    """The folder of a simulation, made if it is not there; complete or absent at any instant."""
    folder = cache_folder() / plan.molecule
    if (folder / "recipe.yaml").is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent))
    simulate(plan, temporary / plan.molecule)
    shutil.rmtree(folder, ignore_errors=True)
    (temporary / plan.molecule).rename(folder)
    temporary.rmdir()
    return folder
