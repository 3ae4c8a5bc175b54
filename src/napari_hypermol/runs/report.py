"""report.html: one page a person can open without any program of ours."""

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_hypermol.runs.diagnostics import diagnosis_sentences
from napari_hypermol.runs.directions import direction_density
from napari_hypermol.runs.half_sets import half_set_curves
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.occupancy import occupancies
from napari_hypermol.runs.state_axes import (
    StateAxis,
    known_words,
    middle_states,
    shown_states,
)
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.trajectories import learned_trajectories, trajectory_sentences
from napari_hypermol.runs.verdicts import HALF_SETS_OFF

__all__ = ["montage", "report_page", "write_report"]

_SHOWN = 6  # states along a range or a circle
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; background: #fff; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; padding-top: .8rem;
     border-top: 1px solid #e2e2e2; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; }
th { font-weight: 600; vertical-align: top; }
.sweeps td + td, .sweeps th + th { text-align: right; }
td { font-variant-numeric: tabular-nums; } img { max-width: 100%; } .note { color: #666; }
"""


def projection(volume: NDArray[np.floating], axis: int = 1) -> NDArray[np.floating]:
    """Sum along an axis, z upwards in the picture; (z, y, x) -> (rows, columns)."""
    flat = np.asarray(volume.sum(axis=axis))
    return flat[::-1] if axis != 0 else flat


def montage(rows: list[tuple[str, list[NDArray[np.floating]]]], titles: list[str]) -> Figure:
    """A grid of pictures with a name before each row.

    Parameters
    ----------
    rows : list of (name, pictures)
        Each row shares one grey scale, so that its pictures can be compared.
    titles : list of str
        Above the columns.

    Returns
    -------
    Figure
    """
    columns = max(len(pictures) for _, pictures in rows)
    figure = Figure(figsize=(1.5 * columns + 1.1, 1.5 * len(rows) + 0.4), dpi=110)
    grid = figure.add_gridspec(
        len(rows), columns, left=1.1 / (1.5 * columns + 1.1), right=0.995, bottom=0.01,
        top=1 - 0.36 / (1.5 * len(rows) + 0.4), wspace=0.04, hspace=0.04,
    )  # fmt: skip
    for i, (name, pictures) in enumerate(rows):
        high = max(float(p.max()) for p in pictures) or 1.0
        for j, picture in enumerate(pictures):
            axes = figure.add_subplot(grid[i, j])
            axes.imshow(picture, cmap="gray", vmin=0, vmax=high, interpolation="bilinear")
            axes.set_axis_off()
            if i == 0 and j < len(titles):
                axes.set_title(titles[j], fontsize=9)
            if j == 0:
                axes.text(
                    -0.06, 0.5, name, transform=axes.transAxes, ha="right", va="center", fontsize=10
                )
    return figure


def _png(figure: Figure, words: str) -> str:
    """A picture within the page; words for those who do not see it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(words)}" src="data:image/png;base64,{data}">'


def _state_montages(maps: HyperMaps) -> list[Figure]:
    """One figure for all ranges, one for all circles, one for each set of classes."""
    if maps.dims == 0:
        volume = maps.volume(())
        views = [projection(volume, a) for a in (0, 1, 2)]
        return [montage([("map", views)], ["along z", "y", "x"])]
    figures: dict[tuple[str, ...], list[tuple[str, list[NDArray[np.floating]]]]] = {}
    for index, axis in enumerate(maps.axes):
        states = middle_states(maps.axes)
        pictures, titles = [], []
        for value in shown_states(axis, _SHOWN):
            states[index] = float(value)
            pictures.append(projection(maps.volume(states)))
            titles.append(axis.text(float(value)))
        figures.setdefault(tuple(titles), []).append((f"{axis.component}\n{axis.name}", pictures))
    return [montage(rows, list(titles)) for titles, rows in figures.items()]


def _occupancy(run: Run) -> Figure | None:
    found = occupancies(run)
    if not found:
        return None
    figure, panels = _panels(len(found))
    for axes, (axis, values, shares) in zip(panels, found, strict=True):
        if axis.kind == "class":
            axes.bar(np.arange(1, len(values) + 1), shares, width=0.8, color="#4472a8")
            axes.set(xlabel=axis.label, ylabel="share of particles", ylim=(0, None))
            axes.set_xticks(np.arange(1, len(values) + 1))
        else:
            width = 1 / len(values)
            axes.bar(values, shares * len(values), width=width, color="#4472a8")
            axes.set(xlabel=axis.label, ylabel="occupancy", xlim=(0, 1))
    return figure


def _rows(pairs: list[tuple[str, Any]]) -> str:
    cells = (f"<tr><th>{html.escape(k)}</th><td>{html.escape(str(v))}</td></tr>" for k, v in pairs)
    return f"<table>{''.join(cells)}</table>"


def report_page(run: Run) -> str:
    """The page as HTML text."""
    metrics, snapshot = run.metrics, run.snapshot
    trace = snapshot.trace
    facts = [
        ("particles", f"{len(run.contrasts):,} of {run.box_size} px at {run.pixel_size:.4g} Å"),
        ("from", run.facts["particles"]),
        ("coefficients", f"{snapshot.molecule.n_coefficients:,}"),
        ("time", f"{metrics.get('seconds', 0):.0f} s on {metrics.get('device', '?')}"),
        ("peak memory", f"{metrics.get('peak_memory_bytes', 0) / 2**30:.2f} GiB"),
        ("contrast", f"1 ± {snapshot.estimate.contrast_std:.2f}"),
    ]
    axes = run.maps.axes
    # strict=False: before the states begin there are axes, but no states
    for axis, states, stds in zip(axes, run.states.T, run.state_stds.T, strict=False):
        facts.append((axis.name, f"{axis.words}, {known_words(axis, states, stds)}"))
    parts = [
        f"<!doctype html><meta charset='utf-8'><title>{html.escape(run.path.name)}</title>",
        f"<style>{_STYLE}</style><h1>{html.escape(run.path.name)}</h1>",
        _rows(facts),
        "<h2>The molecule along its states</h2>",
        f"<p class='note'>Projections along y; the other states half way.{_kinds_note(axes)}</p>",
        *(_png(f, "Projections of the maps along the states") for f in _state_montages(run.maps)),
    ]
    parts += _trajectories(run)
    occupancy = _occupancy(run)
    if occupancy is not None:
        parts += [
            "<h2>How populated each state is</h2>",
            (
                "<p class='note'>Average of all particles' posteriors. The coordinate of a range "
                "or a circle is not a distance: only the order of states and the maps along it "
                "have a meaning.</p>"
            ),
            _png(occupancy, "Occupancy of the states"),
        ]
    parts += _orientations(run)
    parts += _posterior(run)
    parts += _diagnosis(metrics)
    parts += _halves(run)
    head = ("stage", "sweep", "seconds", "log likelihood per particle", "state change")
    keys = ("stage", "sweep", "seconds", "log_likelihood_per_particle", "state_change")
    body = "".join(
        "<tr>" + "".join(f"<td>{_number(t[k])}</td>" for k in keys) + "</tr>" for t in trace
    )
    parts += [
        "<h2>Sweeps</h2><table class='sweeps'><tr>",
        "".join(f"<th>{h}</th>" for h in head),
        f"</tr>{body}</table>",
    ]
    return "\n".join(parts)


def _halves(run: Run) -> list[str]:
    """How far two independent halves agree, state by state."""
    halves, axes = run.metrics.get("half_sets"), run.maps.axes
    if halves is None:
        return [
            "<h2>Independent halves</h2>",
            f"<p class='note'>{html.escape(HALF_SETS_OFF)}.</p>",
        ]
    head = ", ".join(axis.name for axis in axes) or "state"
    pairs = [(head, "resolution")] + [
        (_state_text(axes, state), f"{resolution:.1f} Å")
        for state, resolution in zip(halves["states"], halves["resolution"], strict=True)
    ]
    return [
        "<h2>Independent halves: resolution of each state at FSC = 0.143</h2>",
        _png(_fsc(run, halves), "Fourier shell correlation of the halves"),
        _rows(pairs),
    ]


def _fsc(run: Run, halves: dict[str, Any]) -> Figure:
    """The halves' FSC at the states along each axis."""
    found = half_set_curves(halves, run.maps.axes, run.box_size * run.pixel_size)
    figure, panels = _panels(len(found))
    for panel, one in zip(panels, found, strict=True):
        for name, curve in zip(one.names, one.fsc, strict=True):
            panel.plot(one.frequency, curve, lw=1.4, label=name)
        panel.axhline(one.threshold, color="#888", lw=0.8, ls="--")
        panel.set(xlabel="spatial frequency [1/Å]", ylabel="FSC", ylim=(-0.05, 1.05))
        panel.legend(fontsize=7, title=one.axis, title_fontsize=8, frameon=False)
    return figure


def _panels(n: int, width: float = 3.2, height: float = 2.5) -> tuple[Figure, list[Any]]:
    """Plots side by side, without a frame above and to the right."""
    figure = Figure(figsize=(width * n, height), dpi=110, layout="constrained")
    panels = [figure.add_subplot(1, n, index + 1) for index in range(n)]
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
        panel.xaxis.label.set_fontsize(9)
        panel.yaxis.label.set_fontsize(9)
    return figure, panels


def _state_text(axes: Sequence[StateAxis], state: Sequence[float]) -> str:
    return ", ".join(axis.text(t) for axis, t in zip(axes, state, strict=True)) or "map"


def _kinds_note(axes: Sequence[StateAxis]) -> str:
    """What a reader must know of circles and classes, where there are any."""
    kinds = {axis.kind for axis in axes}
    note = ""
    if "circle" in kinds:
        note += " A circle has no ends: after its last picture comes its first."
    if "class" in kinds:
        note += " Classes have no order, and nothing lies between them."
    return note


def _trajectories(run: Run) -> list[str]:
    """Axes, angles and distances of what moves as a whole."""
    found = learned_trajectories(run.snapshot.molecule, run.pixel_size)
    if not found:
        return []
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in trajectory_sentences(found))
    return [
        "<h2>How components move as a whole</h2>",
        f"<ul>{lines}</ul>",
        (
            "<p class='note'>(x, y, z) in the frame of the maps, from the centre of the box "
            "(voxel n // 2). An axis and its opposite are the same axis.</p>"
        ),
    ]


def _diagnosis(metrics: dict[str, Any]) -> list[str]:
    """What the run says about the freedom it was given; nothing for a rigid molecule."""
    found = metrics.get("diagnostics")
    if not found or not found["states"]:
        return []
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in diagnosis_sentences(found))
    return [
        "<h2>Is the state used?</h2>",
        f"<ul>{lines}</ul>",
        (
            "<p class='note'>A state whose coefficients cost more than they gain here "
            "would predict others worse than a rigid component. <code>hypermol compare</code> "
            "measures that on particles held out.</p>"
        ),
    ]


def _orientations(run: Run) -> list[str]:
    """From where the particles are seen, where their poses were found."""
    poses = run.snapshot.poses
    if poses is None:
        return []
    return [
        "<h2>From where the particles are seen</h2>",
        (
            "<p class='note'>Density of viewing directions in the frame of the maps, 1 where all "
            "are alike; z is up.</p>"
        ),
        _png(_sphere(direction_density(poses.rotations)), "Density of viewing directions"),
    ]


def _sphere(density: NDArray[np.float64]) -> Figure:
    """Mollweide's projection of a density in equal parts of the sphere."""
    longitude = np.linspace(-np.pi, np.pi, 361)
    latitude = np.linspace(-np.pi / 2, np.pi / 2, 181)
    middles = [0.5 * (edges[1:] + edges[:-1]) for edges in (longitude, latitude)]
    shares = (middles[0] + np.pi) / (2 * np.pi), 0.5 * (np.sin(middles[1]) + 1)
    i, j = (np.int64(s * n) for s, n in zip(shares, density.shape, strict=True))
    figure = Figure(figsize=(5.4, 2.7), dpi=110, layout="constrained")
    axes = figure.add_subplot(projection="mollweide")
    mesh = axes.pcolormesh(longitude, latitude, density[np.ix_(i, j)].T, cmap="viridis", vmin=0)
    axes.set_xticks([])
    axes.set_yticks([])
    figure.colorbar(mesh, shrink=0.8)
    return figure


def _posterior(run: Run) -> list[str]:
    """What draws say, and whether to trust them; nothing where none were asked for."""
    found, kept = run.metrics.get("posterior"), run.posterior
    if not found or not kept:
        return []
    rates = [(f"acceptance of {k}", f"{100 * v:.0f} %") for k, v in found["acceptance"].items()]
    figures = [_traces(kept)]
    if "occupancy_bands" in kept:
        figures.insert(0, _bands(kept["occupancy_bands"], run.maps.axes))
    return [
        "<h2>What the data leave open</h2>",
        f"<p>{html.escape(found['sentence'][:1].upper() + found['sentence'][1:])}.</p>",
        (
            "<p class='note'>Draws of maps, states, contrasts, poses where they are not known, and "
            "noise; signal spectra are taken as estimated. Standard deviations of the maps are "
            "volumes/std_*.mrc. Bars: median share of the particles; lines: 90 % bands.</p>"
        ),
        _rows([("chains", found["chains"]), ("draws of each", found["draws"]), *rates]),
        *(_png(figure, "Draws of the posterior") for figure in figures),
    ]


def _bands(bands: NDArray[np.float64], axes: Sequence[StateAxis]) -> Figure:
    """Occupancies with their 90 % bands; (3, d, bins)."""
    n_axes, n_bins = bands.shape[1:]
    figure, panels = _panels(n_axes)
    middles = (np.arange(n_bins) + 0.5) / n_bins
    # strict=False: before the states begin there are axes, but no states
    for plot, axis, own in zip(panels, axes, bands.transpose(1, 0, 2), strict=False):
        low, median, high = own * (1 if axis.kind == "class" else n_bins)
        errors = np.maximum([median - low, high - median], 0)
        plot.bar(middles, median, width=1 / n_bins, color="#b9cbe2")
        plot.errorbar(middles, median, errors, fmt="none", ecolor="#1f3f66", elinewidth=1.2)
        label = "share of particles" if axis.kind == "class" else "occupancy"
        plot.set(xlabel=axis.label, ylabel=label, xlim=(0, 1), ylim=(0, None))
    return figure


def _traces(kept: dict[str, NDArray[Any]]) -> Figure:
    """The log likelihood of every chain, draw after draw."""
    figure, (axes,) = _panels(1, width=5.4)
    middle = kept["log_likelihood"].mean()
    for number, trace in enumerate(kept["log_likelihood"], 1):
        draws = np.arange(1, len(trace) + 1)
        axes.plot(draws, trace - middle, lw=1.2, marker=".", ms=4, label=f"chain {number}")
    axes.set(xlabel="draw", ylabel="log likelihood − mean")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize=8, frameon=False)
    return figure


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else html.escape(str(value))


def write_report(run: Run) -> None:
    """Write ``report.html`` into the run folder."""
    (run.path / "report.html").write_text(report_page(run), encoding="utf-8")
