"""Report finished runs: ``python -m ctc_lightning.report RUN_DIR… [--output DIR]``."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ctc_lightning.analysis.figures import trade_off_figure
from ctc_lightning.analysis.runs import load_runs, read_provenance
from ctc_lightning.analysis.table import markdown_table, text_table
from ctc_lightning.analysis.trade_off import PROTOCOLS, comparable, summary
from ctc_lightning.analysis.verdict import verdict


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables and the verdict, write trade_off.png, .md and .csv; 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m ctc_lightning.report", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="run directories, sweep folders or folders above them")
    parser.add_argument("--output", type=Path, default=Path(), help="where the files go (default: here)")
    arguments = parser.parse_args(argv)
    logging.basicConfig(format="%(levelname)s: %(message)s")
    try:
        arguments.output.mkdir(parents=True, exist_ok=True)
        sys.stdout.write(report(arguments.runs, arguments.output))
    except (ValueError, OSError) as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 2
    return 0


def report(paths: Sequence[str | Path], output: Path) -> str:
    """Write the report's files into the folder; the text that a terminal shows."""
    runs = comparable(load_runs(paths))
    numbers = summary(runs)
    numbers.to_csv(output / "trade_off.csv", index=False)
    text, page = [], []
    names = runs["data"].unique()
    for name in names:
        picture = output / ("trade_off.png" if len(names) == 1 else f"trade_off_{name}.png")
        trade_off_figure(runs[runs["data"] == name]).savefig(picture, dpi=150)
        shown = numbers[numbers["data"] == name]
        protocols = [protocol for protocol in PROTOCOLS if protocol in set(shown["protocol"])]
        ...
    return ""
