"""Hypothesis strategies for the nouns of the project."""

import numpy as np
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

seeds = st.integers(0, 2**32 - 1)
box_sizes = st.integers(4, 12)


@st.composite
def rotations(draw: st.DrawFn, n: int = 1) -> np.ndarray:
    """Uniform rotations; (n, 3, 3)."""
    return Rotation.random(n, rng=np.random.default_rng(draw(seeds))).as_matrix()
