"""The particle layer of a viewer: which particle is shown, how, the prediction beside it."""

from typing import Any

import numpy as np
from napari.utils.notifications import show_error
from numpy.typing import NDArray

from napari_hypermol.io.particle_file import ParticleFile
from napari_hypermol.plugin.latest import Latest
from napari_hypermol.plugin.layers import LayerData, image_limits
from napari_hypermol.plugin.particle_views import Correction, OneByOne, ViewedImages
from napari_hypermol.plugin.viewing import hypermol_of, show_scale_bar
from napari_hypermol.runs.predictions import Predictions
from napari_hypermol.runs.store import Run

__all__ = ["ParticleLayer"]

_DIMMED = 0.3  # opacity of a particle that is left out
_GAP = 1.05  # box edges from the image to the prediction beside it


class _Predicted:
    """Predictions as a view."""

    def __init__(self, predictions: Predictions) -> None:
        self._predictions = predictions

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._predictions.images(rows)


def _looks(
    file: ParticleFile, correction: Correction, resolution: float, run: Run | None
) -> tuple[Any, tuple[float, float], Any, tuple[float, float]]:
    """Images as wanted and their contrast limits, and the predictions, in a worker."""
    particles = file.particles
    shape = tuple(int(s) for s in particles.images.shape)
    images: Any = particles.images
    if correction != "none" or resolution > 0:
        images = OneByOne(ViewedImages(particles, correction, resolution), shape)
    limits = image_limits(images)
    if run is None:
        return images, limits, None, limits
    predicted = OneByOne(_Predicted(Predictions(particles, run.snapshot)), shape)
    return images, limits, predicted, image_limits(predicted)


class ParticleLayer:
    """Follows one particle layer of a viewer; call it from the main thread.

    Parameters
    ----------
    viewer : napari Viewer

    Attributes
    ----------
    layer : napari layer or None
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layer: Any = None
        self._beside: Any = None
        self._file: ParticleFile | None = None
        self._looking = Latest(self._on_looks, self._on_problem)

    @property
    def layer(self) -> Any:
        """The layer, while it is in the viewer."""
        if self._viewer is None or self._layer not in self._viewer.layers:
            self._layer = None
        return self._layer

    def add(self, layer_data: LayerData, file: ParticleFile) -> None:
        """Put particles into the viewer; others step aside."""
        data, attributes, _ = layer_data
        for other in self._viewer.layers:
            if hypermol_of(other, "particles") is not None:
                other.visible = False
        self.follow(self._viewer.add_image(data, **attributes), file)
        show_scale_bar(self._viewer)

    def follow(self, layer: Any, file: ParticleFile) -> None:
        """Take care of a layer."""
        if layer is not self._layer:
            self.forget()
        self._layer, self._file = layer, file

    def forget(self) -> None:
        """No layer; the prediction goes."""
        if self._beside is not None and self._beside in self._viewer.layers:
            self._viewer.layers.remove(self._beside)
        self._layer = self._beside = self._file = None

    # ---- which particle -----------------------------------------------------------------------

    def row(self) -> int | None:
        """The particle that the slider stands at; None without a layer."""
        layer = self.layer
        if layer is None or self._viewer.dims.ndim < layer.ndim:
            return None
        point = self._viewer.dims.point[-layer.ndim :]
        return int(np.clip(round(float(layer.world_to_data(point)[0])), 0, len(layer.data) - 1))

    def go_to(self, row: int) -> None:
        """Move the slider to a particle."""
        layer = self.layer
        if layer is None or self.row() == row:
            return
        axis = self._viewer.dims.ndim - layer.ndim
        self._viewer.dims.set_point(axis, float(layer.data_to_world((row, 0, 0))[0]))

    def dim(self, is_left_out: bool) -> None:
        """Show whether the particle is left out."""
        if self.layer is not None:
            self.layer.opacity = _DIMMED if is_left_out else 1.0

    # ---- how it looks -------------------------------------------------------------------------

    def look(self, correction: Correction, resolution: float, run: Run | None) -> None:
        """Show the images another way, with the predictions of a run or without."""
        if self.layer is not None and self._file is not None:
            self._looking.ask(_looks, self._file, correction, resolution, run)

    def _on_looks(self, answer: tuple[Any, Any, Any, Any]) -> None:
        images, limits, predicted, predicted_limits = answer
        layer = self.layer
        if layer is None or layer.data.shape != images.shape:
            return
        if layer.data is not images:
            layer.data = images
            layer.contrast_limits_range = layer.contrast_limits = limits
        if predicted is None:
            if self._beside is not None and self._beside in self._viewer.layers:
                self._viewer.layers.remove(self._beside)
            self._beside = None
            return
        if self._beside is None or self._beside not in self._viewer.layers:
            self._beside = self._viewer.add_image(predicted, **self._place(predicted_limits))
            self._viewer.layers.selection.active = layer
            self._viewer.reset_view()
        else:
            self._beside.data, self._beside.contrast_limits = predicted, predicted_limits

    def _place(self, limits: tuple[float, float]) -> dict[str, Any]:
        """To the right of the image."""
        layer = self._layer
        first, y, x = (float(t) for t in layer.translate)
        return {
            "name": f"{layer.name}: prediction",
            "axis_labels": layer.axis_labels,
            "units": layer.units,
            "scale": layer.scale,
            "translate": (first, y, x + _GAP * layer.data.shape[-1] * float(layer.scale[-1])),
            "contrast_limits": limits,
            "colormap": "gray",
            "interpolation2d": "linear",
            "metadata": {"hypermol": {"kind": "prediction"}},
        }

    def _on_problem(self, problem: Exception) -> None:
        show_error(str(problem))

    def let_go(self) -> None:
        """Let go of the viewer."""
        self._looking.let_go()
        self._viewer = self._layer = self._beside = None
