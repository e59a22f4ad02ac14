"""The summary as a table: methods down, source and targets across, peak → final (drop) in per cent."""

from collections.abc import Iterable
from itertools import zip_longest
from textwrap import wrap
from typing import Any, NamedTuple

import pandas as pd

from ctc_lightning.analysis.figures.highlight import backbones, in_order
from ctc_lightning.analysis.frames.methods import label, target_label
from ctc_lightning.analysis.frames.trade_off import CLASSIFIER, SOURCE

WIDTH = 120
LABEL_WIDTH = 24
STACKED_TARGETS = 7  # columns that may fit when their cells are stacked
TITLES = {
    "whitened": "Tuned linear probe on PCA-whitened features (the headline)",
    "logreg": "Logistic regression on frozen features, L2 tuned on validation",
    "standardised": "Tuned linear probe on standardised features",
    "knn": "k nearest neighbours",
    "probe_bn": "Linear probe behind BatchNorm without affine",
    "reference": "SGD probe of the reference code",
    "finetune": "Fine-tuning of the whole network",
    "few_shot": "Few-shot classification",
}


class Grid(NamedTuple):
    """A table to be: columns (target, its label); rows (label, for each column a summary row or None)."""

    columns: list[tuple[str, str]]
    rows: list[tuple[str, list[Any]]]
    left_out: int = 0


def title(protocol: str) -> str:
    """What a protocol is, or its own name where none is known."""
    return TITLES.get(protocol, protocol)


def grid(summary: pd.DataFrame, protocol: str, most: int | None = None) -> Grid:
    """One protocol's table, the source's column first where it was measured, plain backbones last.

    Args:
        summary: one data set's rows of `ctc_lightning.analysis.summary`.
        protocol: the probe.
        most: methods; the others are counted in ``left_out``.
    """
    shown = summary[summary["protocol"].isin([protocol, CLASSIFIER])]
    metric = dict(zip(shown["target"], shown["metric"], strict=True))
    targets = sorted(metric, key=lambda target: target != SOURCE)
    cell = {(row.method, row.stopped, row.target): row for row in shown.itertuples()}
    methods = in_order(summary, protocol)
    rows = []
    for method in [*methods[:most], *backbones(shown)]:
        for stopped in ("at the end", "early"):
            cells = [cell.get((method, stopped, target)) for target in targets]
            if measured := [row for row in cells if row]:
                rows.append((row_label(measured[-1]), cells))
    left_out = len(methods) - len(methods[:most])
    return Grid([(target, target_label(target, metric[target])) for target in targets], rows, left_out)


def text_table(summary: pd.DataFrame, protocol: str, most: int | None = None) -> str:
    """One data set's table for a terminal; where its lines would pass 120 columns, the cells are stacked.

    Where even these would not fit, the targets go into several tables.

    Args:
        summary: one data set's rows of `ctc_lightning.analysis.summary`.
        protocol: the probe, by its name. The source is the network's own classifier.
        most: methods; how many more there are is said below.
    """
    table = grid(summary, protocol, most)
    header = [[""], *([named] for _, named in table.columns)]
    lines = _aligned([header, *([[name], *([inline(cell)] for cell in cells)] for name, cells in table.rows)])
    if max(map(len, lines)) > WIDTH:
        lines = next(
            lines
            for at_once in range(STACKED_TARGETS, 0, -1)
            if max(map(len, lines := _stacked_tables(table, at_once))) <= WIDTH or at_once == 1
        )
    more = [f"… and {table.left_out} more methods in trade_off.csv"] if table.left_out else []
    return "\n".join([title(protocol), f"{legend(summary)}.", "", *lines, *more])


def markdown_table(summary: pd.DataFrame, protocol: str) -> str:
    """The same table in GitHub's Markdown, its title in bold above it."""
    table = grid(summary, protocol)
    lines = [
        ["", *(named for _, named in table.columns)],
        ["---"] * (len(table.columns) + 1),
        *([name, *(inline(cell) for cell in cells)] for name, cells in table.rows),
    ]
    heading = f"**{title(protocol)}.** {legend(summary)}."
    return "\n".join([heading, "", *(f"| {' | '.join(row)} |" for row in lines)])


def legend(summary: pd.DataFrame) -> str:
    """How to read a cell, with the number of seeds."""
    trained = summary[~summary["plain"]]
    fewest, most = trained["n"].min(), trained["n"].max()
    text = "Test accuracy in %: peak (at the best validation epoch) → final (drop)"
    if trained["peak_mean"].isna().all():
        text = "Test accuracy in % at the last epoch"
    if trained.empty or (most == 1 and trained["final_low"].notna().any() and "last" in text):
        return f"{text} [95 % interval over the test]"
    if most == 1:
        return f"{text}, one seed"
    return f"{text}, mean±std of {most if fewest == most else f'{fewest} to {most}'} seeds"


def row_label(row: Any) -> str:
    """The method's name; for an early-stopped row with the epochs at which the seeds stopped."""
    if row.plain:
        return f"{label(row.method)}, not trained here"
    if row.stopped != "early":
        return label(row.method)
    first, last = row.first_epoch, row.last_epoch
    epochs = f"epoch {first}" if first == last else f"epochs {first}–{last}"
    return f"{label(row.method)}, stopped early ({epochs})"


def inline(row: Any) -> str:
    """``94.1±1.2 → 18.4±2.4 (75.7±1.1)``."""
    if row is None:
        return "–"
    peak, final, drop = (f"{percent(mean)}{spread(std)}" for mean, std in numbers(row))
    return f"{peak} → {final} ({drop})" if peak else f"{final}{interval(row)}"


def numbers(row: Any) -> list[tuple[float, float]]:
    """Mean and standard deviation of peak, final and drop."""
    return [(row.peak_mean, row.peak_std), (row.final_mean, row.final_std), (row.drop_mean, row.drop_std)]


def percent(fraction: float, *, sign: bool = False) -> str:
    """In per cent with one decimal, nothing for NaN; with the sign of a positive number on request."""
    if pd.isna(fraction):
        return ""
    value = round(100 * fraction, 1) + 0.0  # + 0.0 turns −0.0 into 0.0
    return f"{value:+.1f}" if sign else f"{value:.1f}"


def spread(fraction: float) -> str:
    """``±1.2``, nothing for NaN."""
    return "" if pd.isna(fraction) else f"±{percent(fraction)}"


def interval(row: Any) -> str:
    """`` [17.1, 19.8]``, nothing for NaN."""
    return "" if pd.isna(row.final_low) else f" [{percent(row.final_low)}, {percent(row.final_high)}]"


def _stacked_tables(table: Grid, at_once: int) -> list[str]:
    """Below each other, of so many targets at once."""
    places = range(len(table.columns))
    parts = [places[start : start + at_once] for start in places[::at_once]]
    return [line for columns in parts for line in ["", *_stacked_table(table, columns)]][1:]


def _stacked_table(table: Grid, columns: Iterable[int]) -> list[str]:
    header = [[""], *(_wrapped(table.columns[i][1], 13) for i in columns)]
    blank = [[""]] * len(header)
    rows = [[_wrapped(name), *(_stacked(cells[i]) for i in columns)] for name, cells in table.rows]
    return _aligned([header, *(line for row in rows for line in (blank, row))])


def _stacked(row: Any) -> list[str]:
    """``94.1 → 18.4`` above its ``±1.2   ±2.4`` above ``(75.7±1.1)``."""
    if row is None or pd.isna(row.peak_mean):
        return [inline(row)]
    (peak, peak_std), (final, final_std), (drop, drop_std) = numbers(row)
    first, spreads = f"{percent(peak)} → {percent(final)}", f"{spread(peak_std):<7}{spread(final_std)}"
    return [first, *([spreads] if spreads.strip() else []), f"({percent(drop)}{spread(drop_std)})"]


def _wrapped(name: str, width: int = LABEL_WIDTH) -> list[str]:
    """The label in lines, a number never apart from its ``(epoch``."""
    lines = wrap(name.replace("(epoch ", "(epoch~").replace("(epochs ", "(epochs~"), width)
    return [line.replace("~", " ") for line in lines]


def _aligned(rows: list[list[list[str]]]) -> list[str]:
    """Rows of cells of lines, padded to common column widths."""
    widths = [max(len(line) for cell in column for line in cell) for column in zip(*rows, strict=True)]
    return [
        "  ".join(map(str.ljust, lines, widths)).rstrip()
        for row in rows
        for lines in zip_longest(*row, fillvalue="")
    ]
