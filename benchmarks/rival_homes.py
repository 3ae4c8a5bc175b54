"""Where other programs live: an environment each, never in this process."""

import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

__all__ = ["MissingRival", "Spent", "home_of", "run"]

_FROM_DEBIAN = {"relion": "apt-get install relion"}


class Spent(NamedTuple):
    """Seconds of the clock, and of all processors."""

    wall: float
    processor: float

    def and_(self, other: "Spent") -> "Spent":
        """Both together."""
        return Spent(self.wall + other.wall, self.processor + other.processor)


class MissingRival(Exception):
    """A program that is not to be had here, and why."""


def home_of(name: str, homes: Path) -> Path:
    """Folder of a program's commands; installed first if it comes from PyPI and is not there.

    Raises
    ------
    MissingRival
        With the reason.
    """
    if name in _FROM_DEBIAN:
        found = shutil.which("relion_refine")
        if found is None:
            raise MissingRival(f"relion_refine is not on the PATH; try {_FROM_DEBIAN[name]}")
        return Path(found).parent
    home = homes / name
    done = home / "installed"
    if not done.is_file():
        shutil.rmtree(home, ignore_errors=True)
        try:
            run(sys.executable, "-m", "venv", home)
            run(home / "bin" / "pip", "install", name, log=homes / f"{name}.install.log")
        except subprocess.CalledProcessError as error:
            told = (error.stdout or "").strip().splitlines()
            raise MissingRival(told[-1] if told else str(error)) from error
        done.touch()
    return home / "bin"


def run(
    *command: str | Path | float,
    log: Path | None = None,
    cwd: Path | None = None,
    is_ours: bool = False,
) -> tuple[Spent, str]:
    """Time and output of a command, which sees our Python path only if it `is_ours`.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails; `log` has its output all the same.
    """
    hidden = () if is_ours else ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    began, used = time.perf_counter(), _processor()
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    spent = Spent(time.perf_counter() - began, _processor() - used)
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"$ {' '.join(map(str, command))}\n{done.stdout}\n# {spent.wall:.1f} s\n")
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout)
    return spent, done.stdout


def _processor() -> float:
    """Seconds that the processors worked for the children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
