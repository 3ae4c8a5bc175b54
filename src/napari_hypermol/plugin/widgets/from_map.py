"""How a mask is made of the map on the screen: threshold, low pass, dilation, soft edge, pieces."""

from typing import Any, NamedTuple

import numpy as np
from magicgui.widgets import CheckBox, Container, FloatSlider, FloatSpinBox
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_hypermol.molecules.mask_making import map_labels

__all__ = ["FromMap", "MapMask", "labels_of_map"]


class MapMask(NamedTuple):
    """What is asked for; lengths [Å], the volume [Å³]."""

    threshold: float
    low_pass: float = 0.0
    dilate: float = 0.0
    soft_edge: float = 6.0
    has_pieces: bool = False
    least_volume: float = 1000.0


def labels_of_map(
    volume: NDArray[np.float32], pixel_size: float, asked: MapMask
) -> NDArray[np.uint8]:
    """Labels from 1: one, or one for every connected piece of the thresholded map, dilated.

    Raises
    ------
    MaskError
        If nothing exceeds the threshold.
    """
    return map_labels(
        volume,
        asked.threshold,
        asked.low_pass / pixel_size,
        asked.dilate / pixel_size,
        asked.least_volume / pixel_size**3 if asked.has_pieces else None,
    )


class FromMap(QWidget):
    """The numbers, and the button.

    Attributes
    ----------
    asked : Signal(object)
        A `MapMask`.
    threshold_moved : Signal(float)
    """

    asked = Signal(object)
    threshold_moved = Signal(float)

    def __init__(self) -> None:
        super().__init__()
        lengths = {"min": 0.0, "max": 100.0, "step": 1.0}
        self.threshold = FloatSlider(
            value=0.25, min=0.0, max=1.0, label="threshold", tooltip="Density of the map"
        )
        self.low_pass = FloatSpinBox(
            value=0.0, **lengths, label="low pass [Å]", tooltip="Smooth the map first; 0: do not"
        )
        self.dilate = FloatSpinBox(
            value=5.0, **lengths, label="dilate [Å]", tooltip="Room for what moves"
        )
        self.soft_edge = FloatSpinBox(
            value=6.0, **lengths, label="soft edge [Å]", tooltip="Around the mask"
        )
        self.has_pieces = CheckBox(
            value=False, text="one component for every piece", tooltip="Of the thresholded map"
        )
        self.least = FloatSpinBox(
            value=1000.0,
            min=0.0,
            max=1e9,
            step=500.0,
            label="least piece [Å³]",
            tooltip="Smaller pieces are left out",
        )
        fields = (self.threshold, self.low_pass, self.dilate, self.soft_edge)
        self._rows = Container(widgets=[*fields, self.has_pieces, self.least])
        for field in (*fields, self.least):
            field.native.setAccessibleName(field.label)
        self.threshold.changed.connect(self._on_threshold)
        self.button = QPushButton("&Make the mask")
        self.button.clicked.connect(self._on_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._rows.native)
        column.addWidget(self.button)

    def follow(self, layer: Any) -> None:
        """Take the range of a map's densities, and the threshold its surface has."""
        low, high = (float(v) for v in layer.contrast_limits)
        if high <= low:
            return
        slider = self.threshold
        with slider.changed.blocked():
            slider.min, slider.max = min(low, slider.min), max(high, slider.max)
            slider.value = float(np.clip(layer.iso_threshold, low, high))
            slider.min, slider.max, slider.step = low, high, (high - low) / 200

    def _on_threshold(self, value: float) -> None:
        self.threshold_moved.emit(value)

    def _on_button(self) -> None:
        self.asked.emit(
            MapMask(
                threshold=self.threshold.value,
                low_pass=self.low_pass.value,
                dilate=self.dilate.value,
                soft_edge=self.soft_edge.value,
                has_pieces=self.has_pieces.value,
                least_volume=self.least.value,
            )
        )
