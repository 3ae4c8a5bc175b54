"""Where other programs live: an environment each, never in this process."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["RIVALS", "MissingRival", "home_of", "run"]

RIVALS = ("relion", "cryodrgn", "recovar", "aspire")
_FROM_DEBIAN = {"relion": "apt-get install relion"}


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
    *command: str | Path | float, log: Path | None = None, cwd: Path | None = None
) -> tuple[float, str]:
    """Wall seconds and output of a command, which sees nothing of our Python path.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails; `log` has its output all the same.
    """
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    began = time.perf_counter()
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"$ {' '.join(map(str, command))}\n{done.stdout}\n# {seconds:.1f} s\n")
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout)
    return seconds, done.stdout
