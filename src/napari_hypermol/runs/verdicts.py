"""What a run's own checks say, sentence by sentence, and which of them ask for attention."""

from typing import Any, Literal, NamedTuple

from napari_hypermol.runs.diagnostics import diagnosis_sentences
from napari_hypermol.runs.store import Run

__all__ = ["HALF_SETS_OFF", "Verdict", "entanglement_verdict", "verdicts"]

HALF_SETS_OFF = (
    "No half sets were run, so there is no FSC of independent maps: set half_sets: true in the "
    "recipe, on the Priors page say, and run again (twice the time)"
)
_HAND = (
    "The hand is not known from the images: a molecule and its mirror image fit them equally well. "
)
_ENTANGLED = (
    0.1  # share of a state's variance from which direction and state are hard to tell apart
)
_FEW = 100  # particles for each map along a state, as `unknowns.warn_of_few_particles` has it


class Verdict(NamedTuple):
    """One sentence.

    Attributes
    ----------
    kind : "good", "attention" or "note"
    text : str
    """

    kind: Literal["good", "attention", "note"]
    text: str


def verdicts(run: Run) -> list[Verdict]:
    """All sentences about a run, the most general first.

    Parameters
    ----------
    run : Run

    Returns
    -------
    list of Verdict
    """
    metrics = run.metrics
    found = [_progress(metrics), *_unknowns(metrics), _halves(metrics)]
    found += _diagnostics(metrics.get("diagnostics"))
    found.append(_mixing(metrics.get("posterior")))
    searched = run.recipe.latents.rotation == "search"
    found.append(
        Verdict(
            "attention" if searched else "note",
            _HAND
            + (
                "A search ends in either hand; look whether helices turn right, and mirror the "
                "maps if they turn left"
                if searched
                else "The run keeps the hand that the poses of its particle file have"
            ),
        )
    )
    return [Verdict(one.kind, one.text[:1].upper() + one.text[1:] + ".") for one in found]


def entanglement_verdict(name: str, share: float) -> Verdict:
    """Whether a state depends on the viewing direction.

    Parameters
    ----------
    name : str
        Of the state.
    share : float
        As `directions.direction_share` has it.
    """
    percent = f"The viewing direction explains {100 * share:.0f} % of the spread of {name}"
    if share > _ENTANGLED:
        return Verdict(
            "attention",
            f"{percent}: either some states are seen from some sides only, or the state stands "
            "for errors of the poses.",
        )
    return Verdict("good", f"{percent}; the two are not entangled.")


def _progress(metrics: dict[str, Any]) -> Verdict:
    if metrics.get("is_done"):
        return Verdict("good", "the run is finished")
    return Verdict("attention", "the run is not finished; its last checks are still to come")


def _unknowns(metrics: dict[str, Any]) -> list[Verdict]:
    """Particles for each map along a state."""
    asked = metrics.get("unknowns")
    if not asked:
        return []
    found = []
    for one in asked["components"]:
        each = asked["particles"] * one["copies"] / one["state"]
        text = (
            f"{one['state']} functions of the state of {one['component']} from "
            f"{asked['particles']:,} particles, {each:,.0f} for each"
        )
        if one["state"] > 1 and each < _FEW:
            text += f"; below {_FEW} they are likely to fit noise, so use a lower degree"
            found.append(Verdict("attention", text))
        elif one["state"] > 1:
            found.append(Verdict("good", text))
    return found


def _halves(metrics: dict[str, Any]) -> Verdict:
    halves = metrics.get("half_sets")
    if halves is None:
        return Verdict("attention", HALF_SETS_OFF)
    best, worst = min(halves["resolution"]), max(halves["resolution"])
    return Verdict(
        "good" if worst < 1.5 * best else "attention",
        f"independent halves agree to {best:.1f} Å in the best state and to {worst:.1f} Å in the "
        f"worst (FSC = {halves['threshold']})",
    )


def _diagnostics(found: dict[str, Any] | None) -> list[Verdict]:
    """Use of states, mirror images."""
    if not found:
        return []
    faults = [not use["is_used"] for use in found["states"]]
    faults += [bool(mirror["is_mirror"]) for mirror in found["mirrors"]]
    return [
        Verdict("attention" if is_fault else "good", text)
        for is_fault, text in zip(faults, diagnosis_sentences(found), strict=True)
    ]


def _mixing(posterior: dict[str, Any] | None) -> Verdict:
    if not posterior:
        return Verdict(
            "note",
            "the posterior was not sampled, so intervals are not known: set posterior: "
            "{draws: 200} in the recipe for them, on the Priors page say",
        )
    return Verdict("good" if posterior["has_mixed"] else "attention", posterior["sentence"])
