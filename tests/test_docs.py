"""The documentation keeps its word: its examples run, its links lead somewhere."""

import doctest
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from napari_hypermol.runs.from_recipe import composite_of
from napari_hypermol.runs.recipe_text import recipe_from

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    page for place in (ROOT, ROOT / "changes", ROOT / "docs") for page in place.glob("*.md")
) + sorted((ROOT / "docs").glob("*/*.md"))

LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)>\s]+)|<(?:img|a)[^>]*(?:src|href)=\"([^\"]+)\"")
CODE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """The headings of a page as a link names them: lower case, no punctuation, hyphens."""
    headings = HEADING.findall(CODE.sub("", page.read_text(encoding="utf-8")))
    plain = (re.sub(r"[^\w\- ]", "", heading.strip().lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def dead_links(page: Path) -> list[str]:
    """Links of a page to files or headings that are not there."""
    dead = []
    for groups in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        link = next(filter(None, groups))
        if re.match(r"[a-z]+:", link):  # another site, or mail
            continue
        place, _, heading = unquote(link).partition("#")
        target = (page.parent / place).resolve() if place else page
        is_dead = not target.exists() or ROOT not in (target, *target.parents)
        if is_dead or (heading and target.suffix == ".md" and heading not in anchors(target)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_local_links_lead_somewhere(page):
    assert not dead_links(page)


@pytest.mark.parametrize(
    ("text", "is_dead"),
    [
        ("[a](b.md)", False),
        ("[a](b.md#two-words)", False),
        ("[a](https://example.org/nothing)", False),
        ("```\n[a](nothing.md)\n```", False),
        ("[a](nothing.md)", True),
        ("[a](b.md#nothing)", True),
        ("[a](../outside.md)", True),
        ('<img src="nothing.png">', True),
    ],
)
def test_links_can_be_dead(text, is_dead, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "b.md").write_text("# Two words!\n")
    page = tmp_path / "a.md"
    page.write_text(text)
    assert bool(dead_links(page)) == is_dead


@pytest.mark.parametrize(
    "page", [page for page in PAGES if ">>>" in page.read_text(encoding="utf-8")], ids=named
)
def test_examples_run(page):
    result = doctest.testfile(str(page), module_relative=False)
    assert result.attempted > 0
    assert result.failed == 0


RECIPE = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (page, text)
        for page in PAGES
        for text in RECIPE.findall(page.read_text(encoding="utf-8"))
        if "components:" in text
    ],
    ids=lambda value: named(value) if isinstance(value, Path) else "",
)
def test_recipes_are_recipes(page, text):
    recipe = recipe_from(yaml.safe_load(text), page)
    assert recipe.components
    without_files = {
        name: item
        for name, item in recipe.components.items()
        if item.support is not None and item.support.ball is not None
    }
    composite_of(recipe.model_copy(update={"components": without_files}), ROOT, 128, 2.0)


def test_ci_runs_the_readme():
    """The command of the README and that of .ci/run are one."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert f"```sh\n{lines[-1]}\n```" in readme


def test_readme_names_commands_that_exist():
    """Every `hypermol WORD` of the README is a command of `hypermol --help`."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = set(re.findall(r"(?:bin/|`)hypermol ([a-z]+)", readme))
    if importlib.util.find_spec("napari_hypermol.cli") is None:
        pytest.skip("the command line is not written yet")
    shown = subprocess.run(
        [sys.executable, "-m", "napari_hypermol", "--help"], capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr
    assert not {command for command in commands if command not in shown.stdout}
