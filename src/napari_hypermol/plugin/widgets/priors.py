"""The Priors page: everything a recipe says besides its components, as its schema has it."""

from typing import Any

from qtpy.QtWidgets import QLabel

from napari_hypermol.plugin.session import Session
from napari_hypermol.plugin.widgets.guide import show_guide
from napari_hypermol.plugin.widgets.page import Page
from napari_hypermol.plugin.widgets.recipe_bar import RecipeBar
from napari_hypermol.plugin.widgets.schema_fields import PROBLEM_STYLE
from napari_hypermol.plugin.widgets.schema_form import SchemaForm
from napari_hypermol.runs.recipe import Recipe
from napari_hypermol.runs.recipe_text import problems_of

__all__ = ["PriorsPage"]

# set on the Components and Particles pages; written by a run
_ELSEWHERE = frozenset({"components", "particles", "versions"})


class PriorsPage(Page):
    """Priors, latents, schedule, posterior, half-sets, seed: whatever keys the recipe has.

    Parameters
    ----------
    viewer : napari Viewer
    session : Session
    """

    title = "Priors"
    purpose = "Say what you expect beforehand; the defaults are a good beginning."
    guide = "priors.md"

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__(viewer, session)
        self.bar = RecipeBar(session)
        self.form = SchemaForm(Recipe, skip=_ELSEWHERE)
        self.problem = QLabel()
        self.problem.setWordWrap(True)
        self.problem.setStyleSheet(PROBLEM_STYLE)
        links = QLabel("All keys: see the guide on <a href='recipe.md'>recipes</a>.")
        links.linkActivated.connect(self._on_link)
        for widget in (self.bar, self.problem, self.form, links):
            self.body.addWidget(widget)
        self.body.addStretch(1)
        self.form.edited.connect(self._on_edited)
        session.draft_changed.connect(self._on_draft)
        self._on_draft(session.draft)

    def _on_edited(self) -> None:
        values = self.form.value()
        self.session.put(**{name: values.get(name) for name in self.form.fields})

    def _on_draft(self, draft: dict[str, Any]) -> None:
        fields = self.form.fields
        self.form.put({name: value for name, value in draft.items() if name in fields})
        problems = problems_of(draft)
        self.form.show_problems(problems)
        others = [w for p, w in problems.items() if not p or p[0] not in {*fields, *_ELSEWHERE}]
        self.problem.setText("\n".join(others))
        self.problem.setVisible(bool(others))

    def _on_link(self, page: str) -> None:
        show_guide(page, self)

    def let_go(self) -> None:
        """Stop listening."""
        self.session.draft_changed.disconnect(self._on_draft)
        super().let_go()
