"""Locks between processes."""

import errno
import fcntl
import signal
import subprocess
import sys

import pytest
from filelock import Timeout

from ctc_lightning.files import locks
from ctc_lightning.files.locks import locked

HOLD = """
import sys, time
from ctc_lightning.files.locks import locked

with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def without_locks(monkeypatch):
    """A function of an error number: every flock fails with it."""

    def fail(number):
        def flock(*_):
            raise OSError(number, errno.errorcode[number])

        monkeypatch.setattr(fcntl, "flock", flock)
        locks._warn.cache_clear()

    return fail


def test_a_kill_releases_it(tmp_path):
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(Timeout), locked(path, patience=0):
            pass
        other.send_signal(signal.SIGKILL)
    with locked(path, patience=0), pytest.raises(Timeout), locked(path, patience=0):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_warned_of_once(number, tmp_path, without_locks, caplog):
    without_locks(number)
    entered = 0
    for _ in range(2):
        with locked(tmp_path / "lock"), locked(tmp_path / "lock", patience=0):
            entered += 1
    assert entered == 2
    (line,) = caplog.messages
    assert f"{tmp_path} has no file locks ({errno.errorcode[number]}): run one process at a time" in line


def test_other_errors_are_raised(tmp_path, without_locks):
    without_locks(errno.EIO)
    with pytest.raises(OSError, match="EIO"), locked(tmp_path / "lock"):
        pass
