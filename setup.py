"""The guide comes with the wheel: help is at hand where there is no network."""

from pathlib import Path
from shutil import copyfile

from setuptools import setup
from setuptools.command.build_py import build_py

_GUIDE = ("*.md", "guide/*.md", "images/*")


class BuildWithGuide(build_py):
    """Copies ``docs/`` to ``napari_hypermol/docs/``; an editable install reads it where it is."""

    def run(self) -> None:
        """Build the package, then its guide."""
        super().run()
        if self.editable_mode:
            return
        for source, target in self._guide():
            target.parent.mkdir(parents=True, exist_ok=True)
            copyfile(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """The files of the package and of its guide."""
        pages = [] if self.editable_mode else [str(target) for _, target in self._guide()]
        return [*super().get_outputs(include_bytecode), *pages]

    def _guide(self) -> list[tuple[Path, Path]]:
        docs = Path(__file__).parent / "docs"
        place = Path(self.build_lib) / "napari_hypermol" / "docs"
        pages = sorted(page for pattern in _GUIDE for page in docs.glob(pattern))
        return [(page, place / page.relative_to(docs)) for page in pages]


setup(cmdclass={"build_py": BuildWithGuide})
