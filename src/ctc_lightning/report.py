"""Report finished runs in tables, words, figures and a page: ``python -m ctc_lightning.report RUN_DIR…``."""

import argparse
import logging
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from ctc_lightning.analysis import comparable, failures, load_runs, log_odds_summary, summary
from ctc_lightning.analysis.figures.log_odds import has_log_odds
from ctc_lightning.analysis.figures.report_part import ReportPart
from ctc_lightning.analysis.frames.comparable import with_targets
from ctc_lightning.analysis.frames.few_shot import few_shot_summary
from ctc_lightning.analysis.frames.logged.sources import is_of_a_report
from ctc_lightning.analysis.frames.trade_off import shown_protocols
from ctc_lightning.analysis.report.html_of_markdown import html_of_markdown
from ctc_lightning.analysis.report.page import page
from ctc_lightning.analysis.report.parts import PARTS
from ctc_lightning.analysis.report.writer import ReportWriter
from ctc_lightning.cli.interrupt import plain_interrupt
from ctc_lightning.files.atomic_write import atomic_file, write_text

SHOWN_FAILURES = 10  # on a terminal


@plain_interrupt()
def main(argv: Sequence[str] | None = None) -> int:
    """Print the report and write its files; for bad input, one sentence and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m ctc_lightning.report", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN_DIR", help="a run, a sweep, or any folder above them")
    parser.add_argument("--output", default=".", metavar="DIR", help="where the files go (default: here)")
    parser.add_argument("--parquet", action="store_true", help="write results.parquet beside results.csv")
    arguments = parser.parse_args(argv)
    logging.basicConfig(format="%(levelname)s: %(message)s")
    try:
        text = report(arguments.runs, arguments.output, parquet=arguments.parquet)
    except (ValueError, OSError) as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 2
    sys.stdout.write(text)
    return 0


def report(
    paths: Iterable[str | Path],
    output: str | Path,
    *,
    parquet: bool = False,
    parts: Sequence[ReportPart] | None = None,
) -> str:
    """Write the report of all runs under the paths; return its text for a terminal.

    Files: ``report.html`` (everything, in itself), ``trade_off.csv`` (the numbers of all tables),
    ``results.csv`` (every row of every run), ``trade_off.md``, and as PNG and SVG the figures ``trade_off``,
    ``best_against_last``, ``drop``, ``log_odds``, with scores ``ranking`` (then also ``ranking.csv``), of
    a sweep over two settings ``grid`` and ``pareto`` (then also ``sweep.csv``), and with estimates of
    information ``information`` and ``information_plane`` (then also ``information.csv``); with several data
    sets each is called ``NAME_DATA``, of a further protocol ``NAME_PROTOCOL``. Runs that have information
    alone bring the files of that part alone.

    Args:
        paths: run directories, sweeps, or folders of them.
        output: the folder to write to.
        parquet: also write ``results.parquet``.
        parts: of the report, in order; None: `PARTS`.

    Raises:
        ValueError: the paths hold no run that can be compared; the output is a run's directory; there is no
            package that writes Parquet.
        WriteError: the output folder cannot be written to.
    """
    rows = load_runs(paths)
    num_failed, failed = failures(rows)
    count = f"{num_failed} measurement{'' if num_failed == 1 else 's'} failed"
    try:
        runs = comparable(rows)
    except ValueError as problem:
        why = f" ({count}, the first: {failed[0]})" if failed else ""
        raise ValueError(f"{problem}{why}") from problem
    output = Path(output)
    if (output / "results.csv").exists() and not is_of_a_report(output / "results.csv"):
        raise ValueError(
            f"--output {output} holds the results.csv of a run, which would be lost: name another folder"
        )
    written = _write_rows(rows, output, parquet=parquet)

    writer = ReportWriter(output, PARTS if parts is None else parts)
    for data, of_data in runs.groupby("data", sort=False):
        suffix = "" if len(of_data) == len(runs) else "_" + re.sub(r"[^\w.-]", "_", str(data))
        writer.add(of_data, suffix)
    tables = {"trade_off.csv": _numbers(with_targets(runs))}
    tables |= {name: pd.concat(found, ignore_index=True) for name, found in writer.tables.items()}
    tables = {name: table for name, table in tables.items() if len(table)}
    for name, table in tables.items():
        write_text(output / name, table.to_csv(index=False))
    reasons = "\n".join(f"- {line}" for line in failed)
    markdown = [*writer.markdown, *([f"## {count}", reasons] if failed else [])]
    write_text(output / "trade_off.md", "\n\n".join(markdown) + "\n")
    subject = "Transfer and information" if "information.csv" in tables else "Transfer"
    title = f"{subject} while training: {', '.join(section['title'] for section in writer.sections)}"
    write_text(output / "report.html", page(title, writer.sections, count, html_of_markdown(reasons)))
    written = ["report.html", *tables, *written, "trade_off.md", *writer.files]
    terminal = list(filter(None, writer.terminal))
    if failed:
        shown = "\n".join(f"- {line}" for line in failed[:SHOWN_FAILURES])
        more = len(failed) - SHOWN_FAILURES
        terminal.append(f"{count}:\n{shown}" + (f"\n… and {more} more in report.html" if more > 0 else ""))
    return "\n\n".join([*terminal, f"Written to {output}: {', '.join(written)}"]) + "\n"


def _write_rows(rows: pd.DataFrame, output: Path, *, parquet: bool) -> list[str]:
    """Every row of every run; returns the names."""
    tidy = rows.drop(columns="plain")
    if parquet:
        try:
            with atomic_file(output / "results.parquet") as beside:
                tidy.to_parquet(beside, index=False)
        except ImportError as problem:
            raise ValueError(
                "--parquet needs pyarrow, which is not installed: pip install 'ctc-lightning[parquet]'"
            ) from problem
    write_text(output / "results.csv", tidy.to_csv(index=False))
    return ["results.csv", *(["results.parquet"] if parquet else [])]


def _numbers(runs: pd.DataFrame) -> pd.DataFrame:
    """The numbers of all tables: accuracies as fractions, the mean log-odds (metric ``log_odds``) in nats."""
    if runs.empty:
        return runs
    parts = [summary(runs)]
    for _, of_data in runs.groupby("data", sort=False):
        shown = [protocol for protocol in shown_protocols(of_data) if has_log_odds(of_data, protocol)]
        parts += [log_odds_summary(of_data, protocol) for protocol in shown]
    parts.append(few_shot_summary(runs))
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


if __name__ == "__main__":
    sys.exit(main())
