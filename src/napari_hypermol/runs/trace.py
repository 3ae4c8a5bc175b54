"""A run's sweeps, a line each, in ``trace.jsonl``: what live plots are made of.

Only ever appended to. A run that was resumed repeats the sweeps after its last snapshot; a line
takes the place of all that stand at its own place or after it.
"""

import json
from pathlib import Path
from typing import Any

__all__ = ["append_row", "read_trace"]

NAME = "trace.jsonl"


def append_row(folder: Path, row: dict[str, Any]) -> None:
    """Add a sweep; `row` has at least its `position` among the stages and its `sweep`."""
    with (folder / NAME).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, default=float) + "\n")


def read_trace(folder: Path) -> list[dict[str, Any]]:
    """All sweeps in order, none twice; empty where there are none."""
    try:
        lines = (folder / NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    rows: list[dict[str, Any]] = []
    for line in lines:
        try:
            row = json.loads(line)
            place = _place(row)
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            continue  # a line that is being written, or was when the machine stopped
        while rows and _place(rows[-1]) >= place:
            rows.pop()
        rows.append(row)
    return rows


def _place(row: dict[str, Any]) -> tuple[float, float]:
    return float(row["position"]), float(row["sweep"])
