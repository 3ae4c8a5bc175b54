"""Files in and out: particle files, image stacks, volumes, masks."""

from napari_hypermol.io.masks import read_mask
from napari_hypermol.io.mrc import is_stack, read_volume, write_stack, write_volume
from napari_hypermol.io.particle_file import ParticleFile, is_particle_file, read_particles
from napari_hypermol.io.relion_poses import pose_columns
from napari_hypermol.io.star import read_star, write_star
from napari_hypermol.io.unsupported_optics import UnsupportedOpticsWarning

__all__ = [
    "ParticleFile",
    "UnsupportedOpticsWarning",
    "is_particle_file",
    "is_stack",
    "pose_columns",
    "read_mask",
    "read_particles",
    "read_star",
    "read_volume",
    "write_stack",
    "write_star",
    "write_volume",
]
