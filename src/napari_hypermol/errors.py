"""What can go wrong because of an input, each as a type a caller can act on.

Every message says what was expected, what came, where, and what to do. The command line turns any
`HypermolError` into that one sentence and exit code 2; bugs keep their traceback.
"""

__all__ = [
    "BlackBoxError",
    "DensityError",
    "DeviceError",
    "HypermolError",
    "MaskError",
    "OutputExistsError",
    "ParticleFileError",
    "RecipeError",
    "RunCancelled",
    "RunFolderError",
    "ShapeError",
    "UnsupportedOpticsError",
    "VolumeFileError",
]


class HypermolError(Exception):
    """Base of everything raised for a user's input."""


class ShapeError(HypermolError, ValueError):
    """Arrays whose shapes do not fit one another."""


class ParticleFileError(HypermolError, ValueError):
    """A STAR or .cs file, or an image stack it names, that cannot be used."""


class UnsupportedOpticsError(ParticleFileError):
    """Optics that the imaging model does not have, refused by name."""


class VolumeFileError(HypermolError, ValueError):
    """An MRC volume that cannot be used."""


class MaskError(HypermolError, ValueError):
    """A mask that does not fit the particles."""


class BlackBoxError(HypermolError, ValueError):
    """A black-box molecule that does not keep to its protocol."""


class DensityError(HypermolError, ValueError):
    """A log density that no kernel can sample: not a number, or minus infinity at the start."""


class RecipeError(HypermolError, ValueError):
    """A recipe that says something impossible or unknown."""


class OutputExistsError(HypermolError, FileExistsError):
    """An output that is already there and was not to be overwritten."""


class RunFolderError(HypermolError, ValueError):
    """A folder that is not a run, or a run that is not far enough."""


class DeviceError(HypermolError, RuntimeError):
    """A device that is not there or that refused."""


class RunCancelled(HypermolError):
    """The user stopped a run; what was computed so far is in the store."""
