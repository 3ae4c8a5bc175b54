"""Recipes from YAML and back, and what is wrong with one in words that a person would use."""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from napari_hypermol.errors import RecipeError
from napari_hypermol.io.admission import admit_file, shown
from napari_hypermol.runs.recipe import Recipe

__all__ = [
    "Keys",
    "problems_of",
    "read_recipe",
    "recipe_from",
    "write_recipe",
]

Keys = tuple[int | str, ...]  # of keys: ("components", "arm", "support")
# A recipe is a page. More would take long to read, or is no recipe.
_MOST_BYTES, _MOST_VALUES, _MOST_DEPTH = 64 * 1024, 20_000, 32


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    path : Path
        YAML; tags and anything but plain values are refused.

    Returns
    -------
    Recipe

    Raises
    ------
    RecipeError
        With the file, the key, what was expected and what to do.
    """
    admit_file(path, "a recipe", RecipeError)
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise RecipeError(f"{path}: cannot be read as a recipe ({problem})") from problem
    if len(raw) > _MOST_BYTES:
        raise RecipeError(
            f"{path}: is larger than {_MOST_BYTES // 1024} kB, expected a recipe of a page; is it "
            "the right file?"
        )
    try:
        values = _plain_values(text)
    # besides its own errors yaml lets those of int, datetime and the stack through
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, AttributeError) as problem:
        where = getattr(problem, "problem_mark", None)
        line = f", line {where.line + 1}" if where is not None else ""
        reason = str(getattr(problem, "problem", None) or problem).splitlines() or [""]
        raise RecipeError(
            f"{path}{line}: not plain YAML ({shown(reason[0], 100)}); a recipe holds keys, numbers "
            "and text only"
        ) from problem
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: expected keys such as 'components:', got {shown(values, 40)}")
    return recipe_from(values, path)


def _plain_values(text: str) -> Any:
    """The values of a YAML text, if they are a recipe's worth with every alias written out."""
    depth = deepest = 0
    for character in text:  # before yaml sees it: its time grows with the square of the depth
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    if deepest > _MOST_DEPTH:
        raise ValueError(f"brackets nest deeper than {_MOST_DEPTH}")
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        waiting, n_values = [(node, 0)], 0
        while waiting:
            part, depth = waiting.pop()
            n_values += 1
            if n_values > _MOST_VALUES or depth > _MOST_DEPTH:
                raise ValueError(
                    f"more than {_MOST_VALUES} values, or nested deeper than {_MOST_DEPTH}"
                )
            if isinstance(part, yaml.CollectionNode):
                for item in part.value:
                    inner = item if isinstance(item, tuple) else (item,)
                    waiting += [(child, depth + 1) for child in inner]
        return loader.construct_document(node)
    finally:
        loader.dispose()


def recipe_from(values: dict[str, Any], where: Path | str = "recipe") -> Recipe:
    """A checked recipe from plain values; `where` is named in errors."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as problem:
        raise RecipeError(f"{where}: {shown(_sentence(problem), 400)}") from None


def problems_of(values: Mapping[str, Any]) -> dict[Keys, str]:
    """All that is wrong with the plain values of a recipe, each in a sentence.

    Returns
    -------
    dict
        By where it is: ``("components", "arm", "support")``; empty if the recipe can be used. One
        problem at most for every group of keys.
    """
    try:
        Recipe.model_validate(values)
    except ValidationError as problem:
        groups: dict[Any, list[Any]] = {}
        for error in problem.errors():
            groups.setdefault(tuple(_path(error["loc"])[:3]), []).append(error)
        found = dict(_complaint(errors) for errors in groups.values())
        # of alternatives each complains; the ones further in understood more
        outer = {path[:n] for path in found for n in range(len(path))}
        return {path: words for path, words in found.items() if path not in outer}
    return {}


def _sentence(problem: ValidationError) -> str:
    """The first complaint of pydantic, in words, after its key."""
    errors = problem.errors()
    path, words = _complaint([e for e in errors if e["loc"][:1] == errors[0]["loc"][:1]])
    key = ".".join(str(part) for part in path)
    return f"{key}: {words}" if key and not words.startswith("unknown key") else words


def _complaint(errors: list[Any]) -> tuple[Keys, str]:
    """Where the deepest of some complaints is, and what it says."""
    # Where alternatives are allowed ('auto' or stages) each complains; the deepest understood most.
    deepest = max(len(_path(e["loc"])) for e in errors)
    same = [e for e in errors if len(_path(e["loc"])) == deepest]
    first = same[0]
    path = tuple(_path(first["loc"]))
    key = ".".join(str(part) for part in path)
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"])
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.4)
        hint = f"; did you mean '{near[0]}'?" if near else f"; known keys: {', '.join(known)}"
        return path, f"unknown key '{key}'{hint}"
    wanted = dict.fromkeys(_wanted(e) for e in same if _path(e["loc"]) == _path(first["loc"]))
    if None in wanted:  # our own sentence, or one that nothing is known of
        message = str(first["msg"]).removeprefix("Value error, ")
    else:
        message = f"expected {' or '.join(str(w) for w in wanted)}"
    value = first.get("input")
    # a whole group of keys says less than its name
    got = "" if isinstance(value, dict) and value else f" (got {value!r:.60})"
    return path, f"{message[0].lower()}{message[1:]}{got}" if key else message


def _wanted(error: Any) -> str | None:
    """What pydantic wanted, as a person would say it; None: what it says will do."""
    kind = error["type"]
    limits = {k: f"{v:g}" if isinstance(v, float) else v for k, v in error.get("ctx", {}).items()}
    if kind == "model_type":
        return f"keys such as '{_known_keys((*error['loc'], ''))[0]}:'"
    if kind == "missing" and isinstance(error["loc"][-1], int):
        kind = "tuple_type"
    example = (
        "2 numbers, such as [2, 2]" if "beta" in error["loc"] else "3 numbers, such as [0, 0, 1]"
    )
    return {
        "literal_error": str(limits.get("expected")),
        "greater_than": f"more than {limits.get('gt')}",
        "greater_than_equal": f"{limits.get('ge')} or more",
        "less_than_equal": f"{limits.get('le')} or less",
        "int_parsing": "a whole number",
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "float_parsing": "a number",
        "float_type": "a number",
        "list_type": "a list",
        "tuple_type": example,
        "too_long": example,
        "missing": "a value, and there is none",
    }.get(kind)


def _path(location: tuple[int | str, ...]) -> list[int | str]:
    """Keys and indices, without the names of types that pydantic puts between them."""
    is_type = re.compile(r"\w+\[.*\]|\[key\]|[A-Z]\w+Recipe|constrained-\w+")
    kept = [part for part in location if not is_type.fullmatch(str(part))]
    return kept[:-1] if kept and kept[-1] == "float" else kept


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """Keys that stand where an unknown one was found."""
    model: Any = Recipe
    for part in location[:-1]:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        if field is None:  # the name of a component, or the number of a stage
            continue
        candidates = [a for a in _leaves(field.annotation) if issubclass(a, BaseModel)]
        if candidates:
            model = candidates[0]
    return list(model.model_fields)


def _leaves(annotation: Any) -> list[type]:
    """All classes named in a type annotation."""
    parts = getattr(annotation, "__args__", None)
    if parts:
        return [leaf for part in parts for leaf in _leaves(part)]
    return [annotation] if isinstance(annotation, type) else []


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write a recipe as YAML, complete with its defaults."""
    values = recipe.model_dump(mode="json", exclude_none=True)
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
