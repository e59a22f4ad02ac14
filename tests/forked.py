"""Run our programs in forked children of a process that has imported torch, each within a time limit."""

import argparse
import os
import shlex
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

PROGRAMS = {
    "train": "ctc_lightning.train",
    "transfer": "ctc_lightning.transfer",
    "information": "ctc_lightning.information.__main__",
    "export": "ctc_lightning.export",
    "report": "ctc_lightning.report",
    "data": "ctc_lightning.data.__main__",
    "prepare": "ctc_lightning.prepare",
}


class Case(NamedTuple):
    """A command line; ``refused``: whether it must be refused or must not be; None: either."""

    program: str
    arguments: list[str]
    refused: bool | None = None


class Ended(NamedTuple):
    """How a child ended: exit code (None: it was killed at the time limit) and what it printed."""

    code: int | None
    out: str
    err: str

    @property
    def fault(self) -> str | None:
        """What breaks the promise: work or one line and exit code 2; None if it is kept."""
        if self.code is None:
            return "hang"
        if "Traceback (most recent call last)" in self.err + self.out or self.code < 0:
            return f"crash ({self.code})"
        if self.code == 2 and not _is_refusal(self.err):
            return "no error line, or several"
        return None if self.code in (0, 1, 2) else f"exit code {self.code}"


def _is_refusal(err: str) -> bool:
    lines = [line for line in err.strip().splitlines() if "error: " in line]
    return len(lines) == 1 and err.strip().endswith(lines[0])


def load() -> None:
    """Import what the programs need, before the first fork and without starting a thread."""
    for module in PROGRAMS.values():
        import_module(module)


def run(program: str, arguments: list[str], folder: Path, limit: float) -> Ended:
    """Start ``python -m ctc_lightning.PROGRAM`` in a folder; kill it after ``limit`` seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    pid = os.fork()
    if not pid:
        _become(program, arguments, folder)
    until, code = time.monotonic() + limit, None
    while code is None and time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    if code is None:
        os.waitpid(pid, 0)
    return Ended(code, *((folder / name).read_text(errors="replace") for name in ("stdout", "stderr")))


def run_all(description: str, make: Callable[[int, Path], Callable[[int], Case]]) -> int:
    """Run ``--count`` cases, print those that break the promise; returns the exit code.

    Args:
        description: for ``--help``.
        make: of the seed and a folder; gives the case of a number.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="print every case and how it ended")
    parser.add_argument("--limit", type=float, default=120, help="seconds for each")
    options = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "WANDB_MODE": "disabled"}
    load()
    finds, codes = 0, Counter[int | None]()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ |= {"CTC_CACHE": f"{root}/cache", "CTC_DATA": f"{root}/data"}
        draw = make(options.seed, root)
        for number in range(options.first, options.first + options.count):
            case = draw(number)
            ended = run(case.program, case.arguments, root / f"case_{number}", options.limit)
            fault = ended.fault
            if not fault and case.refused is not None and (ended.code == 2) != case.refused:
                fault = "a fault is ignored" if case.refused else f"refused or failed ({ended.code})"
            codes[ended.code] += 1
            finds += fault is not None
            if fault or options.verbose:
                said = fault or f"exit code {ended.code}"
                command = f"{case.program} {shlex.join(case.arguments)}"
                print(f"\n{number}: {said}: {command}\n{ended.err[-1500:]}", flush=True)
    print(f"\n{options.count} cases, exit codes {dict(codes)}, {finds} finds")
    return int(finds > 0)


def _become(program: str, arguments: list[str], folder: Path) -> None:
    os.setsid()
    os.chdir(folder)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_APPEND), number)
    sys.stdout, sys.stderr = (open(n, "w", buffering=1, closefd=False) for n in (1, 2))  # noqa: SIM115
    os.environ.pop("HYDRA_FULL_ERROR", None)
    sys.argv = [f"{program}.py", *arguments]
    code = 0
    try:
        code = import_module(PROGRAMS[program]).main() or 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
