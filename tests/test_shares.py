"""Every test is run by one session, fixtures are torn down, and what hangs is shown and killed."""

import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from shares import in_shares, our_items

FILE = """
import time
import pytest

@pytest.fixture(scope="module")
def shared():
    print("begun", flush=True)
    yield
    print("ended", flush=True)

@pytest.mark.parametrize("number", range(3))
def test_one(shared, number):
    print(f"ran {__name__} {number}", flush=True)
    time.sleep(0.02)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\ntestpaths = a b\naddopts = --import-mode=importlib\n"
    )
    (tmp_path / "a").mkdir()
    registers = "    pluginmanager.register(shares)\n"  # as ours does
    registers = "import shares\ndef pytest_addoption(parser, pluginmanager):\n" + registers
    (tmp_path / "conftest.py").write_text(registers)
    for place in ("a", "b/c", "b/d"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        for number in range(3):
            (tmp_path / place / f"test_{place[-1]}{number}.py").write_text(FILE)
    return tmp_path


ALONE = ["-p", "no:pytest-qt", "-p", "no:napari", "-s"]


def test_each_test_runs_once_in_one_of_them(folder, capsys):
    assert in_shares(2, ALONE) == 0
    told = capsys.readouterr().out
    ran = Counter(re.findall(r"ran ([\w.]+) (\d)", told))
    assert len(ran) == 27
    assert set(ran.values()) == {1}
    assert told.count("begun") == told.count("ended") == 9


def test_a_file_is_taken_when_it_is_reached(tmp_path):
    items = [SimpleNamespace(path=Path(name), number=n) for name in "abc" for n in range(2)]
    one, two = our_items(items, tmp_path), our_items(items, tmp_path)
    took = [next(one), next(two), next(two), next(two), next(one), *one, *two]
    assert "".join(f"{item.path}{item.number}" for item in took) == "a0b0b1c0a1c1"


def test_one_failure_fails_them_all(folder, capsys):
    (folder / "a" / "test_wrong.py").write_text("def test_wrong():\n    assert 1 == 2\n")
    assert in_shares(2, ALONE) == 1
    told = capsys.readouterr().out
    assert told.count("FAILED a/test_wrong.py::test_wrong") == 1
    assert len(set(re.findall(r"ran ([\w.]+ \d)", told))) == 27


def test_nothing_to_run_is_no_success(folder):
    assert in_shares(2, [*ALONE, "-k", "no_such_test"]) == 5


def test_what_hangs_is_shown_and_killed(folder, capsys, monkeypatch):
    monkeypatch.setattr("shares.MOURNING", 2)
    hang = "import subprocess, sys\ndef test_hangs():\n"
    hang += "    subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    (folder / "a" / "test_a1.py").write_text(hang)
    assert in_shares(2, ALONE, longest=15) != 0
    told = capsys.readouterr().out
    assert "not done after 15 s" in told
    assert re.search(r"test_a1\.py.*test_hangs", told)
    assert len(set(re.findall(r"ran ([\w.]+ \d)", told))) == 21  # its next file was taken already


def test_the_result_of_one_that_does_not_end_counts(folder, capsys, monkeypatch):
    monkeypatch.setattr("shares.PARTING", 3)
    stays = "import threading, time\ndef test_leaves_a_thread():\n"
    stays += "    threading.Thread(target=time.sleep, args=(600,)).start()\n"
    (folder / "a" / "test_a1.py").write_text(stays)
    assert in_shares(1, ALONE) == 0
    assert "25 passed" in capsys.readouterr().out
