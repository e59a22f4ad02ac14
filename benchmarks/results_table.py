"""Two new rows in a table of 100 000, appended against rewritten: ``python benchmarks/results_table.py``."""

import tempfile
from pathlib import Path

from side_by_side import interleave, ratios, seconds_of, spread, start_or_try, table, verdict

from ctc_lightning.evaluation.results import ResultsTable, Row

LEAST = 100  # times faster than writing the table anew


def rows(number: int) -> list[Row]:
    """Of 100 at each epoch."""
    return [
        Row("run", "ctc_queue", 0, i // 100, i, "whitened", f"target {i % 100}", "top1", 0.5, settings="ab")
        for i in range(number)
    ]


def main() -> None:
    """Time both on one file each."""
    rounds, quick = start_or_try(7)
    number = 1000 if quick else 100_000
    with tempfile.TemporaryDirectory() as folder:
        appended, rewritten = (ResultsTable(Path(folder) / name) for name in ("appended", "rewritten"))
        for results in (appended, rewritten):
            results.put(rows(number))
            results.rows()
        two = rows(2)
        seconds = interleave(
            {
                "appended": seconds_of(lambda: appended.put(two)),
                "rewritten": seconds_of(lambda: rewritten.keep(lambda _: True)),
                "read again": seconds_of(appended.rows),
            },
            rounds,
        )
    table(["", "ms"], *([name, spread(times, scale=1e3)] for name, times in seconds.items()))
    faster = ratios(seconds["rewritten"], seconds["appended"])
    print(f"\nAppending two rows to {number} is {spread(faster)} × as fast as writing them all.")
    if not quick:
        verdict(f"at least {LEAST} ×", kept=sorted(faster)[len(faster) // 2] >= LEAST)


if __name__ == "__main__":
    main()
