"""Report finished runs, as tables, in words and as a picture: ``python -m ctc_lightning.report RUN_DIR…``."""

import argparse
import logging
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from ctc_lightning.analysis import (
    comparable,
    load_runs,
    markdown_table,
    read_provenance,
    summary,
    text_table,
    trade_off_figure,
    verdict,
)
from ctc_lightning.analysis.trade_off import PROTOCOLS


def main(argv: Sequence[str] | None = None) -> int:
    """Print the report and write its files; for bad input, one sentence and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m ctc_lightning.report", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN_DIR", help="a run, a sweep, or any folder above them")
    parser.add_argument("--output", default=".", metavar="DIR", help="where the files go (default: here)")
    arguments = parser.parse_args(argv)
    logging.basicConfig(format="%(levelname)s: %(message)s")
    try:
        text = report(arguments.runs, arguments.output)
    except (ValueError, OSError) as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 2
    sys.stdout.write(text)
    return 0


def report(paths: Iterable[str | Path], output: str | Path) -> str:
    """Write trade_off.csv, trade_off.md and each data set's picture; return the text for a terminal.

    The picture is trade_off.png, or trade_off_<data>.png each where there are several data sets.

    Raises:
        ValueError: the paths hold no run that can be compared.
        OSError: the output folder cannot be written.
    """
    runs = comparable(load_runs(paths))
    numbers = summary(runs)
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    numbers.to_csv(output / "trade_off.csv", index=False)
    terminal, page, written = [], [], ["trade_off.csv", "trade_off.md"]
    for data, of_data in runs.groupby("data", sort=False):
        picture = "trade_off.png" if len(of_data) == len(runs) else f"trade_off_{data}.png"
        trade_off_figure(of_data).savefig(output / picture, dpi=150)
        written.append(picture)
        rows = numbers[numbers["data"] == data]
        protocols = [protocol for protocol in PROTOCOLS if protocol in set(rows["protocol"])]
        origin, found = _origin(of_data), verdict(rows)
        tables = [markdown_table(rows, protocol) for protocol in protocols]
        page += [
            f"## {data}",
            origin,
            f"![Accuracy over epochs, and the trade-off]({picture})",
            *tables,
            found,
        ]
        tables = [text_table(rows, protocol) for protocol in protocols]
        terminal += [f"{data}\n{'=' * len(str(data))}\n{origin}", *tables, found]
    (output / "trade_off.md").write_text("\n\n".join(page) + "\n", encoding="utf-8")
    return "\n\n".join([*terminal, f"Written to {output}: {', '.join(written)}"]) + "\n"


def _origin(runs: pd.DataFrame) -> str:
    """One line: how many runs and seeds, on what hardware, from which commit, in how many minutes."""
    records = [read_provenance(path) for path in runs["path"].unique()]
    hardware, commit = (
        " and ".join(dict.fromkeys(str(record.get(key) or "unknown") for record in records))
        for key in ("hardware", "commit")
    )
    minutes = sum(record.get("seconds", 0) for record in records) / 60
    counted = (
        f"{_plural(len(records), 'run')}, {_plural(runs['seed'].nunique(), 'seed')}, {minutes:.1f} minutes"
    )
    if unfinished := sum(record.get("status") == "running" for record in records):
        counted += f" ({unfinished} unfinished: the last epoch so far counts as the end)"
    return f"{counted}; hardware: {hardware}; commit: {commit}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


if __name__ == "__main__":
    sys.exit(main())
