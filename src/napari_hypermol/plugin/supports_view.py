"""Supports over the molecule: contours in slices, surfaces in 3-D, in their components' colours.

One layer of each for all components, so that the list of layers stays short.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QTimer
from skimage.measure import find_contours, marching_cubes

from napari_hypermol.plugin.viewing import hypermol_of
from napari_hypermol.runs.support_maps import SupportMap

__all__ = ["SupportsView", "Surface", "contours_of", "surface_of"]

_LEVEL = 0.5
_PLACE = {"units": ("angstrom",) * 3, "axis_labels": ("z", "y", "x")}


class Surface(NamedTuple):
    """The surface of one support.

    Attributes
    ----------
    component : str
    vertices : (v, 3) float32 ndarray
        (z, y, x) [Å], the box centre at 0.
    faces : (f, 3) int64 ndarray
    """

    component: str
    vertices: NDArray[np.float32]
    faces: NDArray[np.int64]


def surface_of(support: SupportMap, spacing: float) -> Surface:
    """Where a support falls to a half; `spacing` [Å] of its voxels."""
    closed = np.pad(support.values, 1)  # one that touches the edge of the box is closed there
    if closed.max() <= _LEVEL:
        return Surface(support.component, np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int64))
    vertices, faces, _, _ = marching_cubes(closed, _LEVEL)
    centre = np.array([n // 2 for n in support.values.shape]) + 1
    return Surface(
        support.component,
        ((vertices - centre) * spacing).astype(np.float32),
        faces.astype(np.int64),
    )


def contours_of(
    support: SupportMap, spacing: float, axis: int, at: float
) -> list[NDArray[np.float64]]:
    """Its outline in the slice at `at` [Å] across an axis; closed paths (p, 3), (z, y, x) [Å]."""
    size = support.values.shape[axis]
    index = round(at / spacing) + size // 2
    if not 0 <= index < size:
        return []
    image = np.pad(np.take(support.values, index, axis=axis), 1)
    paths = []
    for flat in find_contours(image, _LEVEL):
        path = np.insert(flat - 1, axis, index, axis=1)
        paths.append((path - size // 2) * spacing)
        paths[-1][:, axis] = at
    return paths


class SupportsView:
    """The two layers; call it from the main thread.

    Parameters
    ----------
    viewer : napari Viewer
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._supports: list[SupportMap] = []
        self._surfaces: list[Surface] = []
        self._colors: dict[str, str] = {}
        self._spacing = 1.0
        self._is_shown = True
        self._is_adding = self._is_removing = False  # napari is in the middle of that
        viewer.layers.events.inserting.connect(self._on_adding)
        viewer.layers.events.inserted.connect(self._on_added)
        viewer.layers.events.removing.connect(self._on_removing)
        viewer.layers.events.removed.connect(self._on_removed, position="last")
        for emitter in self._emitters():
            emitter.connect(self._on_view)

    def _emitters(self) -> tuple[Any, ...]:
        events = self._viewer.dims.events
        return (events.point, events.ndisplay, events.order)

    def show(
        self,
        supports: list[SupportMap],
        surfaces: list[Surface],
        colors: dict[str, str],
        spacing: float,
    ) -> None:
        """Show these instead of what was shown; `spacing` [Å] of their voxels."""
        self._supports, self._surfaces = supports, surfaces
        self._colors, self._spacing = colors, spacing
        self._draw_surfaces()
        self._on_view()

    @property
    def is_shown(self) -> bool:
        """Whether the user wants to see them."""
        return self._is_shown

    @is_shown.setter
    def is_shown(self, is_wanted: bool) -> None:
        if is_wanted and not self._is_shown:
            self._is_shown = True
            self._draw_surfaces()
        self._is_shown = is_wanted
        self._on_view()

    def let_go(self) -> None:
        """Stop following the viewer."""
        for emitter in self._emitters():
            emitter.disconnect(self._on_view)
        self._viewer.layers.events.inserting.disconnect(self._on_adding)
        self._viewer.layers.events.inserted.disconnect(self._on_added)
        self._viewer.layers.events.removing.disconnect(self._on_removing)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer = None

    def layer(self, kind: str) -> Any:
        """The layer of "contours" or of "surfaces"; None while there is none."""
        found = [x for x in self._viewer.layers if hypermol_of(x, kind) is not None]
        return found[0] if found else None

    def _on_adding(self, event: Any = None) -> None:
        self._is_adding = True

    def _on_added(self, event: Any = None) -> None:
        self._is_adding = False

    def _on_removing(self, event: Any = None) -> None:
        self._is_removing = True

    def _on_removed(self, event: Any = None) -> None:
        self._is_removing = False

    def _after_removal(self) -> None:
        if self._viewer is not None and len(self._viewer.layers):
            self._on_view()

    def _on_view(self, event: Any = None) -> None:
        if self._viewer is None:
            return
        if self._is_adding:
            # the sliders of a new layer move before napari's list has it; a layer of ours that
            # came in between would leave an empty row there
            QTimer.singleShot(0, self._on_view)
            return
        if self._is_removing:
            # all layers go, say, with the window: one of ours that came in between would go
            # next, and come again, for ever
            QTimer.singleShot(0, self._after_removal)
            return
        is_solid = self._viewer.dims.ndisplay == 3
        surfaces = self.layer("surfaces")
        if surfaces is not None:
            surfaces.visible = self._is_shown and is_solid
        contours = self.layer("contours")
        if self._is_shown and not is_solid:
            self._draw_contours(contours)
        elif contours is not None:
            contours.visible = False

    def _draw_surfaces(self) -> None:
        layer = self.layer("surfaces")
        some = [surface for surface in self._surfaces if len(surface.vertices)]
        if not some:
            if layer is not None:
                self._viewer.layers.remove(layer)
            return
        if layer is None and not self._is_shown:
            return
        first = np.cumsum([0, *(len(s.vertices) for s in some[:-1])])
        vertices = np.concatenate([s.vertices for s in some])
        faces = np.concatenate([s.faces + f for s, f in zip(some, first, strict=True)])
        colors = np.concatenate(
            [np.tile(rgba(self._colors[s.component]), (len(s.vertices), 1)) for s in some]
        )
        data = (vertices, faces, np.ones(len(vertices)))
        if layer is None:
            self._add(
                "surface",
                data,
                name="Supports",
                opacity=0.35,
                vertex_colors=colors,
                metadata={"hypermol": {"kind": "surfaces"}},
            )
        else:
            layer.vertex_colors = None  # as many as the old vertices
            layer.data = data
            layer.vertex_colors = colors

    def _draw_contours(self, layer: Any) -> None:
        dims = self._viewer.dims
        hidden = [axis for axis in dims.not_displayed if axis >= dims.ndim - 3]
        paths: list[Any] = []
        colors: list[str] = []
        if len(hidden) == 1:
            axis, at = hidden[0] - dims.ndim + 3, float(dims.point[hidden[0]])
            for support in self._supports:
                found = contours_of(support, self._spacing, axis, at)
                paths += found
                colors += [self._colors[support.component]] * len(found)
        if layer is None and paths:
            layer = self._add(
                "shapes",
                None,
                ndim=3,
                name="Outlines of supports",
                metadata={"hypermol": {"kind": "contours"}},
            )
            layer.editable = False
        if layer is None:
            return
        layer.data = []
        if paths:
            width = 0.6 * self._spacing
            layer.add(paths, shape_type="path", edge_color=colors, edge_width=width)
        layer.visible = True

    def _add(self, kind: str, data: Any, **attributes: Any) -> Any:
        """Add a layer without taking the choice of layer from the user."""
        layers = self._viewer.layers
        active = layers.selection.active
        layer = getattr(self._viewer, f"add_{kind}")(data, **_PLACE, **attributes)
        if active is not None and active in layers:
            layers.selection.active = active
        return layer


def rgba(color: str) -> NDArray[np.float32]:
    """``#e69f00`` as four numbers from 0 to 1."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return np.array([*parts, 1.0], dtype=np.float32)
