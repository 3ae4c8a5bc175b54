import json
import os
import subprocess
import sys
import time

import pytest

from napari_hypermol.errors import RunFolderError
from napari_hypermol.runs.lock import check_free, holder_of, holding
from napari_hypermol.runs.status import SILENCE, RunStatus, this_host, write_status


def lock(folder, pid, host, since):
    (folder / "run.lock").write_text(json.dumps({"pid": pid, "host": host, "since": since}))


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_second_process_gets_a_sentence(tmp_path):
    with holding(tmp_path):
        assert holder_of(tmp_path).pid == os.getpid()
        code = (
            "import sys; from pathlib import Path\n"
            "from napari_hypermol.runs.lock import holding\n"
            "with holding(Path(sys.argv[1])): pass"
        )
        second = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True
        )
        assert second.returncode == 1
        said = second.stderr.splitlines()[-1]
        assert f"process {os.getpid()} on {this_host()} works on it already" in said
    assert holder_of(tmp_path) is None
    with holding(tmp_path):
        pass


def test_a_lock_of_a_dead_process_is_seen_through(tmp_path):
    lock(tmp_path, dead_pid(), this_host(), time.time())
    assert holder_of(tmp_path) is None
    with holding(tmp_path):
        assert holder_of(tmp_path).pid == os.getpid()


def test_a_number_that_another_process_has_now(tmp_path):
    lock(tmp_path, os.getpid(), this_host(), time.time() - 1e6)
    check_free(tmp_path)


def test_another_machine_is_known_by_its_heartbeat(tmp_path):
    long_ago = time.time() - 10 * SILENCE
    lock(tmp_path, 1, "node7", long_ago)
    check_free(tmp_path)
    beat = RunStatus("running", 0, None, "", 1, "node7", "t", long_ago, time.time())
    write_status(tmp_path, beat)
    with pytest.raises(RunFolderError, match="process 1 on node7 works on it"):
        check_free(tmp_path)


def test_a_lock_that_is_being_written(tmp_path):
    path = tmp_path / "run.lock"
    path.touch()
    with pytest.raises(RunFolderError, match="works on it already"):
        check_free(tmp_path)
    os.utime(path, (0, 0))  # nobody will ever finish it
    check_free(tmp_path)


def test_is_given_back_by_a_failure(tmp_path):
    with pytest.raises(ZeroDivisionError), holding(tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
