"""How the particle images are looked at: corrected, low-passed, with the prediction beside them."""

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QFormLayout, QGroupBox

from napari_hypermol.plugin.particle_views import Correction

__all__ = ["ImageLook"]

_CORRECTIONS: dict[str, Correction] = {
    "As recorded": "none",
    "Phases flipped": "flip",
    "CTF undone (Wiener)": "wiener",
}
_LEAST, _MOST = 2.0, 100.0  # of the low-pass [Å]


class ImageLook(QGroupBox):
    """Three choices; `changed` says that one was made."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("Images")
        self.kind = QComboBox()
        self.kind.addItems(list(_CORRECTIONS))
        self.kind.currentIndexChanged.connect(self._on_change)
        self.low_pass = QDoubleSpinBox()
        self.low_pass.setRange(_LEAST - 1, _MOST)
        self.low_pass.setDecimals(0)
        self.low_pass.setSuffix(" Å")
        self.low_pass.setSpecialValueText("off")
        self.low_pass.setValue(_LEAST - 1)
        self.low_pass.setToolTip("Leaves out detail finer than this; for the eye only")
        self.low_pass.valueChanged.connect(self._on_change)
        self.prediction = QCheckBox("&Prediction beside the image")
        self.prediction.setToolTip("What the run on the screen expects this image to be")
        self.prediction.toggled.connect(self._on_change)
        form = QFormLayout(self)
        self.kind.setAccessibleName("View")
        self.low_pass.setAccessibleName("Low-pass")
        form.addRow("&View", self.kind)
        form.addRow("Low-&pass", self.low_pass)
        form.addRow(self.prediction)

    @property
    def correction(self) -> Correction:
        """What is done about the CTF."""
        return _CORRECTIONS[self.kind.currentText()]

    @property
    def resolution(self) -> float:
        """Of the low-pass [Å]; 0: none."""
        return self.low_pass.value() if self.low_pass.value() >= _LEAST else 0.0

    @property
    def with_prediction(self) -> bool:
        """Whether the prediction is wanted, and there is one."""
        return self.prediction.isChecked() and self.prediction.isEnabled()

    def allow(self, has_layer: bool, has_ctf: bool, has_run: bool) -> None:
        """Offer what is possible."""
        self.setVisible(has_layer)
        self.kind.setEnabled(has_ctf)
        self.kind.setToolTip("" if has_ctf else "The file has no defocus, so no CTF is known")
        self.prediction.setEnabled(has_run)

    def _on_change(self, *_: Any) -> None:
        self.changed.emit()
