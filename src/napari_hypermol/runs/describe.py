"""What is in a file, in a few lines a person can read."""

from pathlib import Path

import numpy as np

from napari_hypermol.errors import HypermolError
from napari_hypermol.io.mrc import is_stack, read_volume
from napari_hypermol.io.mrc_header import read_header
from napari_hypermol.io.particle_file import ParticleFile
from napari_hypermol.runs.diagnostics import diagnosis_sentences
from napari_hypermol.runs.recipe_text import read_recipe
from napari_hypermol.runs.run_facts import is_run_folder
from napari_hypermol.runs.run_particles import open_particles
from napari_hypermol.runs.state_axes import known_words
from napari_hypermol.runs.status import read_status, status_sentence
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.trajectories import learned_trajectories, trajectory_sentences
from napari_hypermol.runs.unknowns import unknowns_sentences

__all__ = ["describe", "particle_lines"]


def describe(
    path: Path, data_dir: Path | None = None, pixel_size: float | None = None
) -> list[str]:
    """Lines about a STAR or .cs file, an MRC file, a recipe or a run folder.

    Raises
    ------
    HypermolError
        If it is none of them, or damaged.
    """
    if not path.exists():
        raise HypermolError(f"{path}: there is no such file or folder")
    if path.is_dir():
        return _run_lines(Run.open(path)) if is_run_folder(path) else _no(path)
    name = path.name.lower()
    if name.endswith((".star", ".cs")):
        return particle_lines(open_particles(path, data_dir, pixel_size))
    if name.endswith((".mrc", ".mrcs", ".map", ".rec", ".gz", ".bz2")):
        return _mrc_lines(path)
    if name.endswith((".yaml", ".yml")):
        recipe = read_recipe(path)
        return [
            f"recipe with {len(recipe.components)} component(s): {', '.join(recipe.components)}"
        ]
    return _no(path)


def _no(path: Path) -> list[str]:
    raise HypermolError(
        f"{path}: expected a .star, .cs, .mrc, .mrcs or .map file, a recipe (.yaml) or a run folder"
    )


def particle_lines(file: ParticleFile) -> list[str]:
    """Lines about particles: number, box, optics, CTF, poses, half sets."""
    particles = file.particles
    n, y, x = particles.images.shape
    optics = particles.optics
    lines = [
        f"{n:,} particles of {x} x {y} px at {particles.pixel_size:.4g} Å",
        f"optics groups: {len(optics.names)} ({', '.join(optics.names[:5])})",
        f"CTF: {'yes' if particles.defocus is not None else 'no defocus columns'}"
        + (", images premultiplied" if optics.is_premultiplied.any() else ""),
        f"poses: {'yes' if particles.rotations is not None else 'none'}",
    ]
    if particles.defocus is not None:
        depth = 0.5e-4 * (particles.defocus.u + particles.defocus.v)
        voltages = ", ".join(f"{v:g}" for v in np.unique(optics.voltage))
        lines.append(f"defocus {depth.min():.2f} to {depth.max():.2f} µm, {voltages} kV")
    if particles.half_sets is not None:
        sizes = [int((particles.half_sets == half).sum()) for half in (1, 2)]
        lines.append(f"half sets: {sizes[0]:,} and {sizes[1]:,}")
    return lines


def _mrc_lines(path: Path) -> list[str]:
    header = read_header(path)
    shape = " x ".join(str(s) for s in reversed(header.shape))
    size = header.pixel_size
    spacing = f"{size:.4g} Å" if size else "no pixel size in the header"
    kind = "image stack" if is_stack(path) else "volume"
    lines = [f"{kind} of {shape}, {header.dtype}, {spacing}"]
    if kind == "volume":
        values = read_volume(path).values
        lines.append(f"density {values.min():.4g} to {values.max():.4g}, mean {values.mean():.4g}")
    return lines


def _run_lines(run: Run) -> list[str]:
    lines = [
        (
            f"run of {run.facts['n_particles']:,} particles, box {run.box_size} px at "
            f"{run.pixel_size:.4g} Å"
        ),
        f"particles from {run.facts['particles']}",
    ]
    status = read_status(run.path)
    if status is not None and not status.is_over:
        lines.append(status_sentence(status))
    if not run.snapshots():
        return [*lines, "no stage done yet"]
    maps, stage = run.maps, run.snapshot.stage
    detail = run.box_size * run.pixel_size / stage.max_radius
    done = "finished" if run.metrics.get("is_done") else "not finished"
    lines.append(f"{done}, last stage '{stage.name}' at {detail:.1f} Å, degree {stage.max_degree}")
    for index, axis in enumerate(maps.axes):
        # the first stage of a run is the mean molecule, without states
        known = "not yet read"
        if run.states.shape[1]:
            known = known_words(axis, run.states[:, index], run.state_stds[:, index])
        lines.append(f"{axis.name}: {axis.words}, {known}")
    lines += trajectory_sentences(learned_trajectories(run.snapshot.molecule, run.pixel_size))
    if "unknowns" in run.metrics:
        lines += unknowns_sentences(run.metrics["unknowns"])
    lines += diagnosis_sentences(run.metrics.get("diagnostics", {"states": [], "mirrors": []}))
    return lines
