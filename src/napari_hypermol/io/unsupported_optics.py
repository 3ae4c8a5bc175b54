"""Optics that RELION files can describe and the imaging model does not have.

Not here: the optics that it has (`relion_optics`).
"""

import re
import warnings
from collections.abc import Sequence

from napari_hypermol.errors import ParticleFileError, UnsupportedOpticsError
from napari_hypermol.io.admission import shown
from napari_hypermol.io.relion_columns import RelionColumns

__all__ = ["UnsupportedOpticsWarning", "check_supported"]

# Column to the value at which it has no effect; a list column counts when any entry is not 0.
NEUTRAL_VALUES = {
    "rlnBeamTiltX": 0.0,
    "rlnBeamTiltY": 0.0,
    "rlnOddZernike": 0.0,
    "rlnEvenZernike": 0.0,
    "rlnMagMat00": 1.0,
    "rlnMagMat01": 0.0,
    "rlnMagMat10": 0.0,
    "rlnMagMat11": 1.0,
}


class UnsupportedOpticsWarning(UserWarning):
    """Optics in a particle file that the imaging model ignores."""


def check_supported(columns: RelionColumns, strict: bool = False, also: Sequence[str] = ()) -> str:
    """Say which optics of the file the imaging model does not have.

    Parameters
    ----------
    columns : RelionColumns
    strict : bool
        Raise instead of warning.
    also : sequence of str
        Names of further ignored optics that have no RELION column.

    Returns
    -------
    str
        What is ignored, the sentence that was warned of; empty if nothing is.

    Raises
    ------
    ParticleFileError
        If the particles are not two-dimensional images.
    UnsupportedOpticsError
        If `strict` and anything would be ignored.
    """
    dimensions = columns.per_particle("rlnImageDimensionality")
    if (dimensions is not None and (dimensions != 2).any()) or columns.has("rlnTomoVisibleFrames"):
        raise ParticleFileError(
            f"{columns.path}: holds subtomograms or tilt series, expected images of single "
            "particles; extract two-dimensional particles first"
        )
    ignored = [*(name for name in NEUTRAL_VALUES if _has_effect(columns, name)), *also]
    if not ignored:
        return ""
    sentence = (
        f"{columns.path}: {', '.join(ignored)} {'is' if len(ignored) == 1 else 'are'} ignored, "
        "expected optics without aberrations beyond defocus and Cs"
    )
    if strict:
        raise UnsupportedOpticsError(sentence + "; correct the images for them first")
    warnings.warn(sentence, UnsupportedOpticsWarning, stacklevel=3)  # who called read_particles
    return sentence


def _has_effect(columns: RelionColumns, name: str) -> bool:
    """Whether a column of `NEUTRAL_VALUES` departs from neutral anywhere."""
    for table in (columns.particles, columns.optics):
        if table is None or name not in table:
            continue
        for text in table[name].unique().tolist():
            entries = [entry for entry in re.split(r"[\[\],\s]+", str(text)) if entry]
            try:
                numbers = [float(entry) for entry in entries]
            except ValueError:
                raise ParticleFileError(
                    f"{columns.path}: column {name} holds {shown(text)!r}, expected numbers; "
                    "repair it"
                ) from None
            if any(number != NEUTRAL_VALUES[name] for number in numbers):
                return True
    return False
