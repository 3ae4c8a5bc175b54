"""Particles by what a run says about them: ``state1 < 0.3 and contrast > 0.8``, ``class1 == 2``.

And what is done with them: written to a file, or looked at because they stand out.
"""

import ast
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import HypermolError, OutputExistsError
from napari_hypermol.io.particle_file import ParticleFile
from napari_hypermol.runs.run_columns import particle_columns, pose_columns_of
from napari_hypermol.runs.state_axes import class_numbers
from napari_hypermol.runs.store import Run

__all__ = ["export_particles", "outliers", "select", "selectable", "where_images_are"]

_FAR = 4.0  # robust standard deviations; of normal numbers one in 16,000 is as far
_STD_OF_MAD = 1.4826  # standard deviation over median absolute deviation, of normal numbers

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def selectable(run: Run) -> dict[str, NDArray[np.float64]]:
    """Names that a condition may use, and their values; each (n,).

    Where state 1 is a class, ``class1`` is its number, 1 to K.
    """
    values: dict[str, NDArray[np.float64]] = {"contrast": run.contrasts}
    # strict=False: before the states begin there are axes, but no states
    for index, (states, stds, axis) in enumerate(
        zip(run.states.T, run.state_stds.T, run.maps.axes, strict=False), 1
    ):
        if axis.kind == "class":
            values[f"class{index}"] = class_numbers(states, axis.n_classes).astype(np.float64)
        values[f"state{index}"] = states
        values[f"state{index}_std"] = stds
    values["log_likelihood"] = run.snapshot.posterior.log_evidence
    return values


def select(run: Run, condition: str) -> NDArray[np.int64]:
    """Rows of the particles for which a condition holds.

    Parameters
    ----------
    run : Run
    condition : str
        Comparisons of `selectable` names and numbers, joined with and, or, not, parentheses.

    Returns
    -------
    rows : (m,) int64 ndarray
        In the order of the input; may be empty.

    Raises
    ------
    HypermolError
        If it is not such a condition.
    """
    values = selectable(run)
    try:
        result = _evaluate(ast.parse(condition.strip(), mode="eval").body, values, condition)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        raise _refused(condition, "is not a condition", values) from None
    if not isinstance(result, np.ndarray) or result.dtype != np.bool_:
        raise _refused(condition, "is not true or false for each particle", values)
    return np.flatnonzero(result)


def outliers(run: Run) -> tuple[NDArray[np.bool_], str]:
    """Particles that stand out from the others of a run, to be looked at before they are left out.

    Parameters
    ----------
    run : Run

    Returns
    -------
    is_outlier : (n,) bool ndarray
        Log likelihood far below the others', or contrast far from theirs: by more than four
        standard deviations, as the median absolute deviation estimates them.
    sentence : str
        How many, and why.
    """
    low = _distance(run.snapshot.posterior.log_evidence) < -_FAR
    odd = np.abs(_distance(run.contrasts)) > _FAR
    found = low | odd
    if not found.any():
        return found, "no particle stands out by its log likelihood or its contrast"
    return found, (
        f"{found.sum():,} of {len(found):,} particles stand out: {low.sum():,} explained far "
        f"worse than the others, {odd.sum():,} of unusual contrast"
    )


def _distance(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """From the median, in robust standard deviations; 0 where all are alike."""
    away = np.asarray(values, dtype=np.float64) - np.median(values)
    spread = _STD_OF_MAD * float(np.median(np.abs(away)))
    return away / spread if spread > 0 else np.zeros_like(away)


def export_particles(
    file: ParticleFile,
    path: Path,
    rows: NDArray[Any],
    run: Run | None = None,
    overwrite: bool = False,
) -> None:
    """Write some particles, with all that their file says about them.

    Parameters
    ----------
    file : ParticleFile
    path : Path
        Ending .star, or .cs when `file` is one.
    rows : (m,) int ndarray or (n,) bool ndarray
        Particles to write.
    run : Run, optional
        Of these particles; what it found is added, in a .cs file the poses alone.
    overwrite : bool

    Raises
    ------
    HypermolError
        As `ParticleFile.write`; also if `path` is the file the particles came from.
    """
    if path.exists() and path.resolve() == file.path.resolve():
        raise OutputExistsError(
            f"{path}: holds the particles themselves; choose another name, and keep the original"
        )
    columns: dict[str, Any] = {}
    if run is not None:
        if path.suffix.lower() != ".cs":
            columns = particle_columns(run.snapshot)
        columns |= pose_columns_of(file, run.snapshot)
    file.write(path, columns, rows, overwrite)


def where_images_are(file: ParticleFile, out: Path) -> str:
    """What to know of a file written away from the one it was made from; empty if nothing.

    Image names stay as they are, and lead from where the first file is.
    """
    home = file.path.absolute().parent
    if out.absolute().parent.is_relative_to(home):
        return ""
    return f"; its images are found from {home} only, so move it there before you open it"


def _refused(condition: str, why: str, values: dict[str, Any]) -> HypermolError:
    return HypermolError(
        f'--where {condition!r} {why}; write for example "state1 < 0.3 and contrast > 0.8" '
        f"with {', '.join(values)}"
    )


def _evaluate(node: ast.AST, values: dict[str, NDArray[np.float64]], condition: str) -> Any:
    """Only what is listed here is understood; nothing is ever executed."""
    if isinstance(node, ast.BoolOp):
        parts = [_evaluate(value, values, condition) for value in node.values]
        if not all(isinstance(p, np.ndarray) and p.dtype == np.bool_ for p in parts):
            raise _refused(condition, "joins something other than comparisons", values)
        combine = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        return combine.reduce(parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return np.logical_not(_evaluate(node.operand, values, condition))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_evaluate(node.operand, values, condition)
    if isinstance(node, ast.Compare):
        operands = [_evaluate(v, values, condition) for v in (node.left, *node.comparators)]
        tests = [
            _COMPARISONS[type(op)](a, b)
            for op, a, b in zip(node.ops, operands[:-1], operands[1:], strict=True)
            if type(op) in _COMPARISONS
        ]
        if len(tests) == len(node.ops):
            return np.logical_and.reduce(tests)
    if isinstance(node, ast.Name) and node.id in values:
        return values[node.id]
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value)  # type: ignore[arg-type]
    raise _refused(condition, "uses something unknown", values)
