"""Open, save, begin anew: the buttons that every page of the recipe has at its top."""

from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QMessageBox, QPushButton, QWidget

from napari_hypermol.errors import HypermolError
from napari_hypermol.plugin.session import Session
from napari_hypermol.runs.recipe_files import open_draft, save_draft

__all__ = ["RecipeBar"]

_FILTER = "Recipes (*.yaml *.yml)"


class RecipeBar(QWidget):
    """Buttons for the session's draft as a whole.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for text, tip, slot in (
            ("&Open recipe…", "Fill the pages from a YAML file", self._on_open),
            ("&Save recipe…", "Write it as YAML, masks beside it", self._on_save),
            ("&New", "Begin with nothing", self._on_new),
        ):
            button = QPushButton(text)
            button.setToolTip(tip)
            button.clicked.connect(slot)
            row.addWidget(button)

    def _on_open(self) -> None:
        if not self._may_go():
            return
        name, _ = QFileDialog.getOpenFileName(
            self, "Open a recipe", str(self._session.folder), _FILTER
        )
        if name:
            self.open(Path(name))

    def open(self, path: Path) -> None:
        """Fill the pages from a file; what is wrong in it is shown beside the fields."""
        try:
            self._session.load(open_draft(path), path.absolute().parent)
        except HypermolError as problem:
            show_error(str(problem))

    def _on_save(self) -> None:
        start = str(self._session.folder / "recipe.yaml")
        name, _ = QFileDialog.getSaveFileName(self, "Save the recipe", start, _FILTER)
        if name:  # the dialog asked before it gave the name of a file that exists
            path = Path(name)
            self.save(path if path.suffix else path.with_suffix(".yaml"), overwrite=path.exists())

    def save(self, path: Path, overwrite: bool = False) -> None:
        """Write the draft, whole or not; its paths start at the new folder from now on."""
        session = self._session
        try:
            saved = save_draft(session.draft, session.folder, path, overwrite)
        except (HypermolError, OSError) as problem:
            show_error(str(problem))
            return
        session.load(saved, path.absolute().parent)

    def _on_new(self) -> None:
        if self._may_go():
            self._session.load({}, self._session.folder)

    def _may_go(self) -> bool:
        """Whether what was not saved may be forgotten."""
        if not self._session.is_changed:
            return True
        answer: Any = QMessageBox.question(
            self, "Unsaved recipe", "Forget the changes of the recipe that are not saved?"
        )
        return bool(answer == QMessageBox.StandardButton.Yes)
