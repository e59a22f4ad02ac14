"""Our programs as real processes, forked from a server that has imported them: a start costs 0.1 s, not 7.

So are the further ranks that Lightning starts. This file is also the server: a line of its standard input is
a request, and it ends with that input.
"""
# ruff: noqa: PTH123, SIM115  # file descriptors

import atexit
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from functools import cache
from pathlib import Path
from types import SimpleNamespace

ALONE = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
IMPORTED_LATER = ("matplotlib.pyplot", "optuna", "sklearn.linear_model", "torch._dynamo")


class Process:
    """A started program, with what is needed of subprocess.Popen; it leads a process group of its own."""

    def __init__(self, requests, **request):
        self.folder = Path(tempfile.mkdtemp(prefix="program-"))
        os.mkfifo(self.folder / "status")
        for name in ("stdout", "stderr"):  # it may be killed before it opens them
            (self.folder / name).touch()
        requests.write(json.dumps({"status": f"{self.folder}/status", "output": str(self.folder)} | request))
        requests.write("\n")
        requests.flush()
        self.status = open(self.folder / "status", "rb", buffering=0)
        self.pid, self.returncode = int(self.status.readline()), None

    def poll(self):
        """The exit code, negative for a signal; None while the program runs."""
        return self.wait(0)

    def wait(self, timeout=None):
        if self.returncode is None and select.select([self.status], [], [], timeout)[0]:
            self.returncode = int(self.status.readline())
            self.status.close()
        return self.returncode

    def communicate(self, timeout=300):
        """Standard output and errors, after the end of the program and of those that it started."""
        until = time.monotonic() + timeout
        try:
            if self.wait(timeout) is None:
                raise subprocess.TimeoutExpired(str(self.folder), timeout)
            while self.group_lives() and time.monotonic() < until:
                time.sleep(0.01)
        finally:
            if self.group_lives():
                os.killpg(self.pid, signal.SIGKILL)
        return tuple((self.folder / name).read_text() for name in ("stdout", "stderr"))

    def group_lives(self):
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def start(program, *arguments, cwd=None, **environment):
    """Start ``python -m ctc_lightning.PROGRAM``, or a file, on the CPU with one thread."""
    environment = {**os.environ, **ALONE, **environment}
    environment.pop("HYDRA_FULL_ERROR", None)
    is_file = program.endswith(".py")
    return Process(
        server().stdin,
        program=program if is_file else f"ctc_lightning.{program}",
        arguments=[*map(str, arguments)],
        cwd=str(cwd or Path.cwd()),
        environment=environment,
    )


def run(program, *arguments, cwd=None, timeout=300, **environment):
    """Run it to its end."""
    process = start(program, *arguments, cwd=cwd, **environment)
    out, err = process.communicate(timeout)
    return SimpleNamespace(returncode=process.returncode, stdout=out, stderr=err)


@cache
def server():
    environment = {name: value for name, value in os.environ.items() if name != "HYDRA_FULL_ERROR"}
    process = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=environment | ALONE,
        start_new_session=True,
        text=True,
    )
    atexit.register(process.stdin.close)
    return process


# ------------------------------------------------------------------------------------------ the server's part


def serve():
    from hydra.core.plugins import Plugins

    import ctc_lightning

    Plugins.instance()  # before anybody imports a plugin: it imports them again
    for module in pkgutil.walk_packages(ctc_lightning.__path__, "ctc_lightning."):
        if not module.name.endswith("__main__"):  # a program
            importlib.import_module(module.name)
    for name in IMPORTED_LATER:
        importlib.import_module(name)
    assert threading.active_count() == 1, "threads do not survive a fork"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for watchers
    for line in sys.stdin:
        if not os.fork():
            watch(**json.loads(line))


def watch(status, group=None, **request):
    """Fork the program, fork the ranks that it asks for, write its number and at its end its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    inlet, outlet = os.pipe()
    with open(status, "wb", buffering=0) as answers, open(inlet) as requests:
        pid = os.fork()
        if not pid:
            os.setpgid(0, group or 0)
            os.close(answers.fileno())
            become(**request, outlet=outlet)
        os.close(outlet)
        answers.write(f"{pid}\n".encode())
        ended, waiting = os.pidfd_open(pid), [requests]
        while ended not in (ready := select.select([ended, *waiting], [], [])[0]):
            line = requests.readline()
            if not line:  # it and its own children have closed their end
                waiting = []
            elif not os.fork():
                signal.signal(signal.SIGCHLD, signal.SIG_IGN)
                watch(**json.loads(line), group=group or pid)
        del ready
        answers.write(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n".encode())
    os._exit(0)


def become(program, arguments, cwd, output, environment, outlet):
    os.chdir(cwd)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(f"{output}/{name}", os.O_CREAT | os.O_WRONLY | os.O_APPEND), number)
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))
    os.environ.clear()
    os.environ |= environment
    is_file = program.endswith(".py")
    sys.path[0] = str(Path(program).parent) if is_file else cwd
    sys.path.append(str(Path(__file__).parent))
    sys.path[1:1] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.argv = [program, *arguments]
    weakref.finalize._registry.clear()  # temporary folders of the server
    sys.modules["wandb.sdk.data_types._private"].MEDIA_TMP.name = tempfile.mkdtemp(dir=output)
    fork_ranks(open(outlet, "w"), output)
    code = 1
    try:
        if is_file:
            runpy.run_path(program, run_name="__main__")
        else:
            sys.modules.pop(program, None)  # or runpy warns
            runpy.run_module(program, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001
        sys.excepthook(*sys.exc_info())
    finally:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code & 255)


def fork_ranks(requests, output):
    """Where Lightning starts ``python -m MODULE …`` or ``python FILE …`` for another rank."""
    from pytorch_lightning.strategies.launchers import subprocess_script

    def popen(command, env=None, cwd=None):
        program, *arguments = [word for word in command[1:] if word != "-m"]
        where = {"cwd": cwd or str(Path.cwd()), "output": output, "environment": env or dict(os.environ)}
        return Process(requests, program=program, arguments=arguments, **where)

    subprocess_script.subprocess = SimpleNamespace(Popen=popen)


if __name__ == "__main__":
    serve()
