"""Class averages by state beside the projections of the run's maps."""

from qtpy.QtWidgets import QComboBox, QFormLayout, QGroupBox, QLabel, QPushButton, QVBoxLayout

from napari_hypermol.io.particle_file import ParticleFile
from napari_hypermol.plugin.latest import Latest
from napari_hypermol.plugin.widgets.montage import Montage, Picture
from napari_hypermol.runs.class_averages import ClassAverage, class_averages
from napari_hypermol.runs.predictions import Predictions
from napari_hypermol.runs.state_axes import StateAxis
from napari_hypermol.runs.store import Run

__all__ = ["ClassAveragesBox"]


def _averages(file: ParticleFile, run: Run, index: int) -> list[ClassAverage]:
    return class_averages(Predictions(file.particles, run.snapshot), run.maps.axes[index], index)


def _axes(run: Run) -> tuple[StateAxis, ...]:
    return tuple(run.maps.axes)


class ClassAveragesBox(QGroupBox):
    """Asks for the averages along one state, and shows them; hidden without a run."""

    def __init__(self) -> None:
        super().__init__("Class averages by state")
        self._file: ParticleFile | None = None
        self._run: Run | None = None
        self._reading = Latest(self._on_axes, self._on_problem, self)
        self._averaging = Latest(self._on_averages, self._on_problem, self)
        self.axis = QComboBox()
        self.axis.setAccessibleName("State to tell apart")
        self.button = QPushButton("&Average")
        self.button.clicked.connect(self._on_ask)
        self.said = QLabel(
            "Particles seen from the three most common directions, averaged for low, middle and "
            "high states; under each average the projection of the map."
        )
        self.said.setWordWrap(True)
        self.montage = Montage()
        form = QFormLayout()
        form.addRow("State", self.axis)
        layout = QVBoxLayout(self)
        layout.addWidget(self.said)
        layout.addLayout(form)
        layout.addWidget(self.button)
        layout.addWidget(self.montage)
        self.setVisible(False)

    def show_run(self, file: ParticleFile | None, run: Run | None) -> None:
        """Offer the states of a run of these particles; None: nothing."""
        if run is self._run and file is self._file:
            return
        self._file, self._run = file, run
        if run is None:
            self.setVisible(False)
            self.montage.show_rows([], [])
            self.axis.clear()
        else:
            self._reading.ask(_axes, run)

    def let_go(self) -> None:
        """No answers any more."""
        self._reading.let_go()
        self._averaging.let_go()

    def _on_axes(self, axes: tuple[StateAxis, ...]) -> None:
        words = [f"{axis.name}: {axis.words}" for axis in axes]
        if words != [self.axis.itemText(i) for i in range(self.axis.count())]:
            self.axis.clear()
            self.axis.addItems(words)
        self.setVisible(bool(axes) and self._run is not None)

    def _on_ask(self) -> None:
        if self._run is None or self._file is None or self.axis.currentIndex() < 0:
            return
        self.button.setEnabled(False)
        self.button.setText("Averaging…")
        self._averaging.ask(_averages, self._file, self._run, self.axis.currentIndex())

    def _on_averages(self, found: list[ClassAverage]) -> None:
        self._done()
        rows: list[tuple[str, list[Picture]]] = []
        for direction in sorted({one.direction for one in found}):
            own = [one for one in found if one.direction == direction]
            counts = ", ".join(f"{one.n_averaged:,}" for one in own)
            words = f"Direction {direction + 1}: {counts} particles"
            pictures = [
                Picture(one.average, None, f"Average of {one.n_averaged:,} particles, {one.group}")
                for one in own
            ]
            rows.append((words, pictures))
            rows.append(("", [Picture(o.projection, None, f"Projection, {o.group}") for o in own]))
        titles = [one.group for one in found if one.direction == 0]
        self.montage.show_rows(titles, rows)

    def _on_problem(self, problem: Exception) -> None:
        self._done()
        self.said.setText(str(problem))

    def _done(self) -> None:
        self.button.setEnabled(True)
        self.button.setText("&Average")
