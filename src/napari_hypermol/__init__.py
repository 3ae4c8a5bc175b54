"""napari-hypermol: molecules that move, recovered from cryo-EM particle images."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("napari-hypermol")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["__version__"]
