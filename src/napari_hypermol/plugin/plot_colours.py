"""Colours of plots: those of napari's theme, and the few that stand for something."""

from typing import Any, NamedTuple

from napari.utils.theme import get_theme

__all__ = [
    "CATEGORIES",
    "MARKER",
    "PARTICLES",
    "PATH",
    "SELECTED",
    "PlotColours",
    "hold_still",
    "plot_colours",
    "tint",
]

# told apart by people who see colours differently, on dark and on light ground (Okabe and Ito)
PARTICLES = (86, 150, 200)
SELECTED = (230, 159, 0)
PATH = (0, 190, 140)
MARKER = (240, 70, 70)
CATEGORIES = (
    (86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167),
    (213, 94, 0), (240, 228, 66), (0, 114, 178), (150, 150, 150),
)  # fmt: skip


class PlotColours(NamedTuple):
    """Of a theme, as (r, g, b) each."""

    ground: tuple[int, int, int]
    text: tuple[int, int, int]


def plot_colours(viewer: Any) -> PlotColours:
    """Colours of the viewer's theme."""
    theme = get_theme(str(viewer.theme))
    return PlotColours(*(c.as_rgb_tuple()[:3] for c in (theme.background, theme.text)))


def tint(plot: Any, colours: PlotColours) -> None:
    """Give a pyqtgraph plot the colours of a theme."""
    plot.setBackground(colours.ground)
    for side in ("left", "bottom"):
        plot.getAxis(side).setPen(colours.text)
        plot.getAxis(side).setTextPen(colours.text)


def hold_still(plot: Any, height: int) -> None:
    """Make a pyqtgraph plot part of a page: of one height [px], without panning and menus."""
    plot.setFixedHeight(height)
    plot.setMenuEnabled(False)
    plot.setMouseEnabled(False, False)
    plot.hideButtons()
    # pyqtgraph lets the label of the axis hang over its edge by five pixels
    plot.getPlotItem().layout.setContentsMargins(1, 1, 6, 7)
    for side in ("left", "bottom"):
        plot.getAxis(side).enableAutoSIPrefix(False)
