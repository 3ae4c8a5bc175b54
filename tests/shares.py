"""The tests in several sessions at once: each takes the next file that no other has taken.

    python tests/shares.py 2 [what pytest takes]

A session is pytest alone in a process of its own. Sessions tell each other nothing and wait for
nothing, so none can hang because of another; what they print is shown line by line behind their
number. A session that has not ended after an hour shows where it stands and is killed.

As a plugin of pytest this is the one option ``--taken FOLDER``: files to run are marked there.
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
        own = [*arguments, "--taken", str(folder / "taken")]
        sessions = [Session(str(number), own, folder, count) for number in range(1, count + 1)]
        try:
            while any(session.process.poll() is None for session in sessions):
                if time.monotonic() > end:
                    print(f"not done after {longest:g} s", flush=True)
                    for session in sessions:
                        session.signal(signal.SIGABRT)  # pytest's faulthandler tells where it is
                    time.sleep(min(MOURNING, longest))
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
    return max(abs(session.process.returncode) for session in sessions)


if __name__ == "__main__":
    sys.exit(in_shares(int(sys.argv[1]), sys.argv[2:]))
