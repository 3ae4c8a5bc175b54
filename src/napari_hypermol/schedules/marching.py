"""Marching in space and in the state: the automatic schedule for known poses.

Section 5's "the resolution is increased", and its counterpart for the state.
"""

from collections.abc import Sequence
from dataclasses import replace

from napari_hypermol.schedules.stage import Stage

__all__ = ["EXHAUSTED", "auto_schedule", "final_stage", "marching_radii"]

# Detail grows by about 1.4 a stage. In cycles per box, not per Å: what can be told apart at first
# is a fixed number of features across the particle.
_FIRST_RADIUS = 9.0
_GROWTH = 1.38
_POSE_SWEEPS = 6  # more a stage where poses move
_LAST_MEAN_SWEEPS = 8
_TOP = 0.75  # of Nyquist; beyond it interpolation and aliasing of the images say more than data


# Share of the mean at the band edge that is data, below which marching ends; and how much further
# the last stage goes then.
EXHAUSTED, _LAST_STEP = 0.5, 1.1


def final_stage(left: Sequence[Stage], reached: float) -> Stage:
    """The last stage of a run whose images hold little finer detail than it has reached.

    Parameters
    ----------
    left : sequence of Stage
        Those that would follow.
    reached : float
        Band limit [cycles per box edge].

    Returns
    -------
    Stage
        All state functions, a little beyond that limit.
    """
    radius = min(_LAST_STEP * reached, left[-1].max_radius)
    return replace(left[-1], max_radius=radius, searches=any(s.searches for s in left))


def marching_radii(box_size: int) -> list[float]:
    """Band limits from coarse to fine [cycles per box edge]."""
    top = _TOP * box_size / 2
    radii = [min(_FIRST_RADIUS, top)]
    while radii[-1] < top:
        radii.append(min(round(radii[-1] * _GROWTH), top))
    if len(radii) > 1 and radii[-1] < 1.15 * radii[-2]:
        radii.pop(-2)
    return radii


def auto_schedule(
    box_size: int,
    degree: int,
    first_degree: int = 1,
    moves_poses: bool = False,
    finds_poses: bool = False,
    searches_again: bool = False,
) -> list[Stage]:
    """Stages from the mean at low resolution to all state functions at high resolution.

    Parameters
    ----------
    box_size : int
        [pixels].
    degree : int
        Highest degree of any component's state basis; 0 for a rigid molecule.
    first_degree : int
        With which states begin.
    moves_poses : bool
        Stay longer: poses are drawn once a sweep, and maps and poses follow one another.
    finds_poses : bool
        They come from a grid, and are bettered with the mean already.
    searches_again : bool
        They are looked for on the whole grid before every stage that goes on with states, since
        each look finds some that the one before did not; of a rigid molecule once.

    Returns
    -------
    list of Stage
    """
    radii = marching_radii(box_size)
    more = _POSE_SWEEPS if moves_poses else 0
    mean_sweeps = 2 + more if degree == 0 or finds_poses else 2
    stages = [Stage("mean", radii[0], 0, sweeps=mean_sweeps, solve_iterations=8)]
    if degree == 0:
        for index, radius in enumerate(radii[1:], 2):
            # spectra and noise settle in the last one, whose sweeps are cheap
            sweeps = _LAST_MEAN_SWEEPS if index == len(radii) else 2 + more
            stages.append(Stage(f"mean {index}", radius, 0, sweeps=sweeps, solve_iterations=6))
        return _searching(stages, 1, 1) if searches_again else stages
    first = min(first_degree, degree)
    states = Stage("states 1", radii[0], first, 9 + 4 * more, kindled_sweeps=6, settle=0.004)
    stages.append(states)
    finer = radii[1:] or radii  # small boxes have one band limit, and still get all functions
    for index, radius in enumerate(finer, 2):
        is_last = index == len(finer) + 1
        # the state's band limit grows faster than that in space: motion is seen at low resolution
        reached = degree if is_last else min(degree, first - 1 + 2 * index - 2)
        stages.append(
            Stage(
                f"states {index}",
                radius,
                reached,
                sweeps=2 + more * 2 // 3 if is_last else 3 + more,
                settle=0.003,
            )
        )
    return _searching(stages, 2, len(stages)) if searches_again else stages


def _searching(stages: list[Stage], first: int, last: int) -> list[Stage]:
    """With poses searched again before some stages, or before the last where there are fewer."""
    first = min(first, len(stages) - 1)
    return [replace(s, searches=i > 0 and first <= i <= last) for i, s in enumerate(stages)]
