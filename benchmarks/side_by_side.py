"""Alternatives timed in turn within one process: what the benchmarks share."""

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import quantiles
from time import perf_counter, process_time

import torch


def start(rounds: int) -> int:
    """Read ``--rounds`` and ``--threads``, print what the figures were measured on, return the rounds."""
    return begin(common_options(rounds).parse_args())


def start_or_try(rounds: int) -> tuple[int, bool]:
    """`start` with ``--quick``: two rounds of small sizes, which only show that a script works."""
    parser = common_options(rounds)
    parser.add_argument("--quick", action="store_true", help="a dry run: small sizes, two rounds, no verdict")
    options = parser.parse_args()
    if options.quick:
        print("DRY RUN: the figures mean nothing.\n")
        options.rounds = 2
    return begin(options), options.quick


def common_options(rounds: int) -> argparse.ArgumentParser:
    """What every comparison can be told."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=rounds, help="how often each alternative is timed")
    parser.add_argument("--threads", type=int, default=1, help="torch's CPU threads")
    return parser


def begin(options: argparse.Namespace) -> int:
    """Set the threads, print what the figures are measured on."""
    torch.set_num_threads(options.threads)
    kind = "CPU" if clock() is process_time else "wall"
    print(
        f"{cpu()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; torch {torch.__version__}."
    )
    print(f"{options.threads} thread(s), {kind} time, {options.rounds} rounds in turn: median (quartiles).\n")
    return options.rounds


def clock() -> Callable[[], float]:
    """CPU time if torch has one thread: no other job enters it. Wall time if more: waiting threads spin."""
    return process_time if torch.get_num_threads() == 1 else perf_counter


def cpu() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())


def seconds_of(step: Callable[[], object]) -> Callable[[], float]:
    """The step, returning how long it took."""
    now = clock()

    def timed() -> float:
        begun = now()
        step()
        return now() - begun

    return timed


def interleave(timed: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each alternative, round by round; every round runs all of them, a first one is dropped."""
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(1 + rounds):
        for name, run in timed.items():
            seconds[name].append(run())
    return {name: values[1:] for name, values in seconds.items()}


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Quotients within each round: whatever slows a whole round down cancels."""
    return [a / b for a, b in zip(above, below, strict=True)]


def spread(values: Iterable[float], *, scale: float = 1) -> str:
    """Median and quartiles of scaled values, to about three digits."""
    low, middle, high = quantiles((scale * value for value in values), n=4, method="inclusive")
    digits = 2 if middle < 10 else 1 if middle < 100 else 0
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def table(*rows: Iterable[str]) -> None:
    """Print rows as a Markdown table, the first as its header."""
    head, *body = [list(row) for row in rows]
    for row in (head, ["---"] * len(head), *body):
        print(f"| {' | '.join(row)} |")


def verdict(promise: str, *, kept: bool) -> None:
    """Say whether the promise was kept; leave with exit code 1 if not."""
    print(f"\n{promise}: {'kept' if kept else 'NOT kept'}")
    sys.exit(not kept)
