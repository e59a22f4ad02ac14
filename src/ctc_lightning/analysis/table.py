"""The summary as a table: methods down, source and targets across, peak → final (drop) in per cent."""

from itertools import zip_longest
from textwrap import wrap
from typing import Any

import pandas as pd

from ctc_lightning.analysis.methods import label, ordered
from ctc_lightning.analysis.trade_off import CLASSIFIER, SOURCE

WIDTH = 120
LABEL_WIDTH = 24
TITLES = {
    "whitened": "Tuned linear probe on PCA-whitened features (the headline)",
    "standardised": "Tuned linear probe on standardised features",
    "knn": "k nearest neighbours",
}


def text_table(summary: pd.DataFrame, protocol: str) -> str:
    """One data set's table for a terminal; where its lines would pass 120 columns, the cells are stacked.

    Args:
        summary: one data set's rows of `ctc_lightning.analysis.summary`.
        protocol: the probe: whitened, standardised or knn. The source is the network's own classifier.
    """
    columns, rows = _grid(summary, protocol)
    header = [[""], *([column] for column in columns)]
    lines = _aligned([header, *([[name], *([_inline(cell)] for cell in cells)] for name, cells in rows)])
    if max(map(len, lines)) > WIDTH:
        blank = [[""]] * len(header)
        stacked = [[_wrapped(name), *map(_stacked, cells)] for name, cells in rows]
        lines = _aligned([header, *(line for row in stacked for line in (blank, row))])
    return "\n".join([TITLES[protocol], f"{legend(summary)}.", "", *lines])


def markdown_table(summary: pd.DataFrame, protocol: str) -> str:
    """The same table in GitHub's Markdown, its title in bold above it."""
    columns, rows = _grid(summary, protocol)
    grid = [
        ["", *columns],
        ["---"] * (len(columns) + 1),
        *([name, *(_inline(cell) for cell in cells)] for name, cells in rows),
    ]
    title = f"**{TITLES[protocol]}.** {legend(summary)}."
    return "\n".join([title, "", *(f"| {' | '.join(row)} |" for row in grid)])


def legend(summary: pd.DataFrame) -> str:
    """How to read a cell, with the number of seeds."""
    fewest, most = summary["n"].min(), summary["n"].max()
    reading = "Test accuracy in %: peak (at the best validation epoch) → final (drop)"
    if most == 1:
        return f"{reading}, one seed"
    return f"{reading}, mean±std of {most if fewest == most else f'{fewest} to {most}'} seeds"


def row_label(row: Any) -> str:
    """The method's name; for an early-stopped row with the epochs at which the seeds stopped."""
    if row.stopped != "early":
        return label(row.method)
    first, last = row.first_epoch, row.last_epoch
    epochs = f"epoch {first}" if first == last else f"epochs {first}–{last}"
    return f"{label(row.method)}, stopped early ({epochs})"


def _grid(summary: pd.DataFrame, protocol: str) -> tuple[list[str], list[tuple[str, list[Any]]]]:
    """Column names, and for each row its label and its cells (a summary row, or None)."""
    shown = summary[summary["protocol"].isin([protocol, CLASSIFIER])]
    targets = [target for target in shown["target"].unique() if target != SOURCE]
    cell = {(row.method, row.stopped, row.target): row for row in shown.itertuples()}
    rows = []
    for method in ordered(shown["method"]):
        for stopped in ("at the end", "early"):
            cells = [cell.get((method, stopped, target)) for target in [SOURCE, *targets]]
            if measured := [row for row in cells if row]:
                rows.append((row_label(measured[-1]), cells))
    return [SOURCE, *targets], rows


def _inline(row: Any) -> str:
    """``94.1±1.2 → 18.4±2.4 (75.7±1.1)``."""
    if row is None:
        return "–"
    peak, final, drop = (f"{percent(mean)}{_spread(std)}" for mean, std in _numbers(row))
    return f"{peak} → {final} ({drop})" if peak else final


def _stacked(row: Any) -> list[str]:
    """``94.1 → 18.4`` above its ``±1.2   ±2.4`` above ``(75.7±1.1)``."""
    if row is None or pd.isna(row.peak_mean):
        return [_inline(row)]
    (peak, peak_std), (final, final_std), (drop, drop_std) = _numbers(row)
    first, spread = f"{percent(peak)} → {percent(final)}", f"{_spread(peak_std):<7}{_spread(final_std)}"
    return [first, *([spread] if spread.strip() else []), f"({percent(drop)}{_spread(drop_std)})"]


def _wrapped(name: str) -> list[str]:
    """The label in lines, a number never apart from its ``(epoch``."""
    lines = wrap(name.replace("(epoch ", "(epoch~").replace("(epochs ", "(epochs~"), LABEL_WIDTH)
    return [line.replace("~", " ") for line in lines]


def _numbers(row: Any) -> list[tuple[float, float]]:
    return [(row.peak_mean, row.peak_std), (row.final_mean, row.final_std), (row.drop_mean, row.drop_std)]


def percent(fraction: float, *, sign: bool = False) -> str:
    """In per cent with one decimal, nothing for NaN; with the sign of a positive number on request."""
    if pd.isna(fraction):
        return ""
    value = round(100 * fraction, 1) + 0.0  # + 0.0 turns −0.0 into 0.0
    return f"{value:+.1f}" if sign else f"{value:.1f}"


def _spread(fraction: float) -> str:
    return "" if pd.isna(fraction) else f"±{percent(fraction)}"


def _aligned(rows: list[list[list[str]]]) -> list[str]:
    """Rows of cells of lines, padded to common column widths."""
    widths = [max(len(line) for cell in column for line in cell) for column in zip(*rows, strict=True)]
    return [
        "  ".join(map(str.ljust, lines, widths)).rstrip()
        for row in rows
        for lines in zip_longest(*row, fillvalue="")
    ]
