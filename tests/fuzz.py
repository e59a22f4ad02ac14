"""Run random cases: each does a step of its work, or is refused in one line with exit code 2."""

import argparse
import os
import shlex
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from omegaconf import OmegaConf

import programs


class Case(NamedTuple):
    """A command line.

    Attributes:
        program: of `ctc_lightning`.
        arguments: of the command line.
        refused: whether it must be refused or must not be; None: either.
        taken: those of the arguments that must be found in the configuration of the run that they start.
    """

    program: str
    arguments: list[str]
    refused: bool | None = None
    taken: Sequence[str] = ()


def fault_of(code: int, out: str, err: str) -> str | None:
    """What breaks the promise: work, or one line and exit code 2; None if it is kept."""
    if "Traceback (most recent call last)" in err + out or code < 0:
        return f"crash ({code})"
    if code == 2:
        lines = [line for line in err.splitlines() if "error: " in line]
        is_one_line = len(lines) == 1 and err.strip().endswith(lines[0])
        return None if is_one_line else "no error line, or several"
    return f"exit code {code}" if code else None


def ignored(taken: Sequence[str], folder: Path) -> str | None:
    """The options, as ``KEY=VALUE``, that the configurations recorded below a folder do not have; or None."""
    given = OmegaConf.from_dotlist([*taken])
    wrong = [
        f"{key} is {found}"
        for record in map(OmegaConf.load, folder.rglob("config.yaml"))
        for key in {option.partition("=")[0] for option in taken}
        if str(found := OmegaConf.select(record, key)) != str(OmegaConf.select(given, key))
    ]
    return f"an option is ignored: {', '.join(wrong)}" if wrong else None


def run(case: Case, folder: Path, limit: float) -> tuple[int | None, str | None, str]:
    """The exit code (None: killed after ``limit`` seconds), the fault or None, and standard error."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        done = programs.run(case.program, *case.arguments, cwd=folder, timeout=limit)
    except subprocess.TimeoutExpired:
        return None, "hang", ""
    fault = fault_of(done.returncode, done.stdout, done.stderr)
    if not fault and case.refused is not None and (done.returncode == 2) != case.refused:
        fault = "a fault is ignored" if case.refused else f"refused or failed ({done.returncode})"
    if done.returncode == 0:
        fault = fault or ignored(case.taken, folder)
    return done.returncode, fault, done.stderr


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
    finds, codes = 0, Counter[int | None]()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ |= {"WANDB_MODE": "disabled", "CTC_CACHE": f"{root}/cache", "CTC_DATA": f"{root}/data"}
        draw = make(options.seed, root)
        for number in range(options.first, options.first + options.count):
            case = draw(number)
            code, fault, err = run(case, root / f"case_{number}", options.limit)
            codes[code] += 1
            finds += fault is not None
            if fault or options.verbose:
                command = f"{case.program} {shlex.join(case.arguments)}"
                print(f"\n{number}: {fault or f'exit code {code}'}: {command}\n{err[-1500:]}", flush=True)
    print(f"\n{options.count} cases, exit codes {dict(codes)}, {finds} finds")
    return int(finds > 0)
