"""Balls that are placed with the mouse: a disc to drag, a small square on its rim to widen it.

A ball is one point of a Points layer, as wide as the ball, cut by napari to the right circle in
every slice and seen as a disc from everywhere in 3-D; a second point sits on its rim.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.plugin.viewing import hypermol_of

__all__ = ["Ball", "BallsLayer"]

_RIM = 0.06  # of the box: a square to grasp
_DIGITS = 1  # of an Å: finer than a mouse


class Ball(NamedTuple):
    """A ball as a recipe has it.

    Attributes
    ----------
    center : (x, y, z)
        [Å] from the box centre.
    radius : float
        [Å].
    """

    center: tuple[float, float, float]
    radius: float


class BallsLayer:
    """The layer of all balls; call it from the main thread.

    Parameters
    ----------
    viewer : napari Viewer
    on_moved : callable
        Given the name and the `Ball` it has now, while the mouse drags.
    on_added : callable
        Given the centre of a point that the user added.
    on_removed : callable
        Given the names of balls whose points the user deleted.
    """

    def __init__(
        self,
        viewer: Any,
        on_moved: Callable[[str, Ball], None],
        on_added: Callable[[tuple[float, float, float]], None],
        on_removed: Callable[[list[str]], None],
    ) -> None:
        self._viewer = viewer
        self._on_moved, self._on_added, self._on_removed = on_moved, on_added, on_removed
        self._balls: dict[str, Ball] = {}
        self._rims: dict[str, NDArray[np.float64]] = {}  # where each was left, a unit vector
        self._edge = 1.0
        self._is_ours = False
        self.is_shown = True  # no layer is made while it would not be seen

    @property
    def layer(self) -> Any:
        """The layer; None while there is none."""
        if self._viewer is None:
            return None
        found = [x for x in self._viewer.layers if hypermol_of(x, "balls") is not None]
        return found[0] if found else None

    def show(self, balls: dict[str, Ball], colors: dict[str, str], edge: float) -> None:
        """Show these balls in a box of this edge [Å]."""
        self._balls = dict(balls)
        layer = self.layer
        if not balls or (layer is None and not self.is_shown):
            if layer is not None:
                self._viewer.layers.remove(layer)
            return
        # A slice of a Points layer is as thick as one unit of its data: with twice the box as the
        # unit, every ball is in every slice of the box, and napari cuts it to its circle there.
        self._edge = 2 * edge
        self._is_ours = True
        try:
            if layer is None:
                layer = self._add()
            self._fill(layer, colors)
        finally:
            self._is_ours = False

    def choose(self, name: str) -> None:
        """Make a ball the one that the mouse drags, and go to the slice through its middle."""
        layer = self.layer
        if layer is None or name not in self._balls:
            return
        self._viewer.layers.selection.active = layer
        layer.mode = "select"
        layer.selected_data = {2 * list(self._balls).index(name)}
        dims = self._viewer.dims
        if dims.ndisplay == 2:
            zyx = self._balls[name].center[::-1]
            hidden = [axis for axis in dims.not_displayed if axis >= dims.ndim - 3]
            dims.set_point(hidden, [zyx[axis - dims.ndim + 3] for axis in hidden])

    def let_go(self) -> None:
        """Stop following the layer."""
        if (layer := self.layer) is not None:
            layer.events.data.disconnect(self._on_data)
        self._viewer = None

    def _add(self) -> Any:
        layer = self._viewer.add_points(
            np.zeros((0, 3)),
            ndim=3,
            name="Balls",
            scale=(self._edge,) * 3,
            units=("angstrom",) * 3,
            axis_labels=("z", "y", "x"),
            symbol="disc",
            projection_mode="rescale_spherical",
            border_width=0.02,
            metadata={"hypermol": {"kind": "balls"}},
        )
        layer.events.data.connect(self._on_data)
        layer.mode = "select"
        return layer

    def _fill(self, layer: Any, colors: dict[str, str]) -> None:
        names = list(self._balls)
        places, sizes, faces, borders = [], [], [], []
        for name, ball in self._balls.items():
            centre = np.array(ball.center[::-1], dtype=float)
            rim = centre + ball.radius * self._rims.get(name, np.array([0.0, 0.0, 1.0]))
            places += [centre / self._edge, rim / self._edge]
            sizes += [2 * ball.radius / self._edge, _RIM * 0.5]
            faces += [f"{colors[name]}40", colors[name]]
            borders += [colors[name], "#ffffff"]
        data = np.array(places)
        layer.scale = (self._edge,) * 3
        if layer.data.shape != data.shape or not np.allclose(layer.data, data, atol=1e-9):
            layer.data = data
        layer.features = {
            "component": np.repeat(names, 2),
            "point": np.tile(["centre", "rim"], len(names)),
        }
        layer.size, layer.face_color, layer.border_color = sizes, faces, borders
        layer.symbol = np.tile(["disc", "square"], len(names))
        layer.refresh()

    def _on_data(self, event: Any) -> None:
        """The user moved, added or deleted points."""
        layer = self.layer
        if self._is_ours or layer is None or layer is not event.source:
            return
        names, points = list(self._balls), np.asarray(layer.data) * self._edge
        action = str(getattr(event.action, "value", event.action))
        if action == "added" and len(points) == 2 * len(names) + 1:
            self._on_added(_rounded(points[-1]))
        elif action == "removed":
            left = set(layer.features["component"][layer.features["point"] == "centre"])
            self._on_removed([name for name in names if name not in left])
        elif action == "changed" and len(points) == 2 * len(names):
            for index, name in enumerate(names):
                self._follow(name, points[2 * index], points[2 * index + 1])

    def _follow(self, name: str, centre: NDArray[np.float64], rim: NDArray[np.float64]) -> None:
        """Which of its two points was moved, and what the ball is now."""
        ball = self._balls[name]
        old = np.array(ball.center[::-1])
        direction = self._rims.get(name, np.array([0.0, 0.0, 1.0]))
        if np.abs(centre - old).max() > 1e-6 * self._edge:
            moved = Ball(_rounded(centre), ball.radius)
        elif np.abs(rim - old - ball.radius * direction).max() > 1e-6 * self._edge:
            radius = float(np.linalg.norm(rim - old))
            if radius < 10**-_DIGITS:
                return
            self._rims[name] = (rim - old) / radius
            moved = Ball(ball.center, round(radius, _DIGITS))
        else:
            return
        self._on_moved(name, moved)


def _rounded(zyx: NDArray[np.float64]) -> tuple[float, float, float]:
    """(z, y, x) as (x, y, z), to what a mouse can tell."""
    x, y, z = (round(float(v), _DIGITS) + 0.0 for v in zyx[::-1])
    return (x, y, z)
