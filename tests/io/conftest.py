"""A small particle set on disk, with every image recognisable by its pixels."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from napari_hypermol.io import write_stack

BOX = 8
OPTICS = """
# version 30001

data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnAmplitudeContrast #3
_rlnSphericalAberration #4
_rlnVoltage #5
_rlnImagePixelSize #6
           1 titan     0.100000     2.700000   300.000000     1.500000
           2 glacios     0.070000     2.000000   200.000000     1.500000

"""
PARTICLES = """
# version 30001

data_particles

loop_
_rlnImageName #1
_rlnDefocusU #2
_rlnDefocusV #3
_rlnDefocusAngle #4
_rlnAngleRot #5
_rlnAngleTilt #6
_rlnAnglePsi #7
_rlnOriginXAngst #8
_rlnOriginYAngst #9
_rlnOpticsGroup #10
_rlnRandomSubset #11
_rlnNote #12
3@a.mrcs 10000.0 9000.0 45.0 10.0 20.0 30.0 1.50 -3.0 1 1 0001
000001@b.mrcs 11000.0 9100.0 0 40.0 50.0 60.0 0 0 2 2 [1,2.50,-3e4]
1@a.mrcs 12000.0 9200.0 90 70.0 80.0 90.0 0 0 1 1 'two words'
2@b.mrcs 13000.0 9300.0 90 70.0 80.0 90.0 0 0 1 1 ''
2@a.mrcs 14000.0 9400.0 90 70.0 80.0 90.0 0 0 1 1 1.10
"""


class ParticleSet(NamedTuple):
    """A STAR file of five particles in two stacks, and the images it means, in row order."""

    star: Path
    images: np.ndarray


@pytest.fixture
def particle_set(tmp_path: Path) -> ParticleSet:
    a = np.arange(3 * BOX * BOX, dtype=np.float32).reshape(3, BOX, BOX)
    b = -1 - np.arange(2 * BOX * BOX, dtype=np.float32).reshape(2, BOX, BOX)
    write_stack(tmp_path / "a.mrcs", a, 1.5)
    write_stack(tmp_path / "b.mrcs", b, 1.5)
    star = tmp_path / "particles.star"
    star.write_text(OPTICS + PARTICLES)
    return ParticleSet(star, np.stack([a[2], b[0], a[0], b[1], a[1]]))
