"""The tests in several sessions at once: each takes the next file that no other has taken.

    python tests/shares.py 2 [what pytest takes]

A session is pytest alone in a process of its own. Sessions tell each other nothing and wait for
nothing, so none can hang because of another; what they print is shown line by line behind their
number. After an hour those still at work show where they stand and are killed. One that has told
its result, but whose process does not end, is killed as well; the result counts.

As a plugin of pytest this is the one option ``--taken FOLDER``: files to run are marked there, and
every session's result.
"""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import pytest

COUNT = "HYPERMOL_TEST_SHARES"  # among how many sessions the processors are shared
LONGEST = 3600  # [s] for all of them; a slow machine takes 1200
MOURNING = 20  # [s] to say where it stood
PARTING = 60  # [s] to end, the result told


RESULT = pytest.StashKey[int]()

# ---- within a session ---------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--taken`."""
    parser.addoption("--taken", type=Path, help="run only files that are not marked there yet")


def is_ours(file: Path, taken: Path) -> bool:
    """Take a file, unless another session has."""
    try:
        (taken / sha256(os.fsencode(file)).hexdigest()).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def our_items(items: Sequence[pytest.Item], taken: Path) -> Iterator[pytest.Item]:
    """The tests of the files that are ours, each file taken when it is reached."""
    for file, of_file in itertools.groupby(items, lambda item: item.path):
        if is_ours(file, taken):
            yield from of_file


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remember the result until all has been said."""
    session.config.stash[RESULT] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Tell the result."""
    taken = config.getoption("--taken", None)
    if taken is not None and RESULT in config.stash:
        written = taken / f".{os.getpid()}"
        written.write_text(str(config.stash[RESULT]))
        written.rename(taken / f"result_{os.getpid()}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Pytest's own loop, over the files that are ours."""
    taken = session.config.getoption("--taken")
    if taken is None or session.testsfailed or session.config.option.collectonly:
        return None
    items = itertools.chain(our_items(session.items, taken), [None])
    for item, following in itertools.pairwise(items):
        assert item is not None
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
    return True


# ---- around them --------------------------------------------------------------------------------


class Session:
    """A session at work, its output in a file: a pipe would stay open in what it leaves behind."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path, count: int) -> None:
        self.name = name
        self._output, self._n_shown = folder / f"output_{name}", 0
        self._taken = folder / "taken"
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "-m", "pytest", "-p", "no:cacheprovider", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {COUNT: str(count)},
                start_new_session=True,
            )

    def show(self) -> None:
        """Print the lines that were completed since; all that is left when it has ended."""
        has_ended = self.process.poll() is not None
        with self._output.open("rb") as output:
            output.seek(self._n_shown)
            new = output.read()
        new = new if has_ended else new[: new.rfind(b"\n") + 1]
        self._n_shown += len(new)
        for line in new.decode(errors="replace").splitlines():
            print(f"{self.name}: {line}", flush=True)

    def result(self) -> int | None:
        """Its exit code, or what it told that it will be; None while it is at work."""
        told, code = self._taken / f"result_{self.process.pid}", self.process.poll()
        if not told.exists():
            return None if code is None else abs(code)
        is_over = code is not None or time.time() > told.stat().st_mtime + PARTING
        return int(told.read_text()) if is_over else None

    def signal(self, number: int) -> None:
        """To the session and all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def close(self) -> None:
        """Kill what is left of it, and show the rest."""
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.show()


def in_shares(count: int, arguments: Sequence[str], longest: float = LONGEST) -> int:
    """Run the tests in so many sessions; the worst of their exit codes."""
    end = time.monotonic() + longest
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "taken").mkdir()
        # one word: pytest looks for its settings beside what may be a path, before it knows better
        own = [*arguments, f"--taken={folder / 'taken'}"]
        sessions = [Session(str(number), own, folder, count) for number in range(1, count + 1)]
        try:
            while any(session.result() is None for session in sessions):
                if time.monotonic() > end:
                    print(f"not done after {longest:g} s", flush=True)
                    for session in sessions:
                        session.signal(signal.SIGABRT)  # pytest's faulthandler tells where it is
                    time.sleep(MOURNING)
                    break
                for session in sessions:
                    session.show()
                time.sleep(0.2)
        except KeyboardInterrupt:
            for session in sessions:
                session.process.send_signal(signal.SIGINT)
            for session in sessions:
                session.process.wait()
        finally:
            for session in sessions:
                session.close()
        return max(session.result() or 0 for session in sessions)


if __name__ == "__main__":
    sys.exit(in_shares(int(sys.argv[1]), sys.argv[2:]))
