"""How much a recipe asks for, beside how much there is: unknowns against particles."""

import warnings
from typing import Any

import numpy as np

from napari_hypermol.molecules.composite import Composite

__all__ = ["few_particles_sentences", "unknowns", "unknowns_sentences", "warn_of_few_particles"]

# Particles for every map that a state asks for, below which maps are likely to fit noise: at SNR
# 1/30 to 1/10 a few hundred show a map at 20 Å; those of one state's functions share the images.
_FEW = 100


def unknowns(composite: Composite, max_radius: float, n_particles: int) -> dict[str, Any]:
    """What is to be found, coefficient set by coefficient set.

    Parameters
    ----------
    composite : Composite
    max_radius : float
        Highest band limit of the schedule [cycles per box edge].
    n_particles : int

    Returns
    -------
    dict
        ``particles``; ``coefficients`` in all; ``components``: for each that has coefficients of
        its own its ``component``, ``basis``, functions of ``space`` and of ``state``, ``copies``
        and the ``shannon_number``: how many numbers its volume and the band limit allow,
        volume x 4/3 pi f^3, 2 c^3 / (9 pi) in a ball.
    """
    molecule = composite.discretise(max_radius)
    frequency = max_radius / composite.box_size
    out = []
    for s, (basis, (q, k)) in enumerate(zip(molecule.bases, molecule.set_shapes, strict=True)):
        users = np.flatnonzero(molecule.owners == s)
        component = molecule.components[int(users[0])]
        spacing = basis.edge / basis.size
        inside = component.support.volume(basis.size, spacing)
        out.append(
            {
                "component": component.name,
                "basis": component.spatial,
                "space": k,
                "state": q,
                "copies": len(users),
                "shannon_number": float(inside * 4 / 3 * np.pi * frequency**3),
            }
        )
    return {
        "particles": n_particles,
        "coefficients": molecule.n_coefficients,
        "components": out,
    }


def unknowns_sentences(found: dict[str, Any]) -> list[str]:
    """The same in words, one line each."""
    lines = [f"{found['coefficients']:,} coefficients from {found['particles']:,} particles"]
    for one in found["components"]:
        copies = f", {one['copies']} copies" if one["copies"] > 1 else ""
        lines.append(
            f"{one['component']}: {one['space']:,} functions of space ({one['basis']}; Shannon "
            f"number {one['shannon_number']:,.0f}) x {one['state']} of the state{copies}"
        )
    return lines


def few_particles_sentences(found: dict[str, Any]) -> list[str]:
    """What to say of state degrees too high for the number of particles; empty if none is."""
    lines = []
    for one in found["components"]:
        seen = found["particles"] * one["copies"]
        if one["state"] > 1 and seen < _FEW * one["state"]:
            most = max(int(seen / _FEW) - 1, 1)
            lines.append(
                f"{one['component']}: its state asks for {one['state']} maps from {seen:,} "
                f"particles, {seen / one['state']:.0f} for each; below {_FEW} they are likely to "
                f"fit noise, so use a degree of {most} or fewer classes"
            )
    return lines


def warn_of_few_particles(found: dict[str, Any]) -> None:
    """Warn of state degrees too high for the number of particles."""
    for line in few_particles_sentences(found):
        warnings.warn(line, stacklevel=2)
