"""Information at its peak and at the end, its change and its difference from cross-entropy's, as a table."""

from typing import Any

import pandas as pd

from ctc_lightning.analysis.frames.information import Setting, of_setting
from ctc_lightning.analysis.frames.methods import label
from ctc_lightning.analysis.frames.trade_off import SOURCE

DECIMALS = {"xt": 2, "ty": 3}  # nats; labels have few of them
FLAG = "†"


def information_table(summary: pd.DataFrame, setting: Setting) -> str:
    """One setting's table in Markdown, padded so that it reads in a terminal too, its title in bold above.

    Args:
        summary: one data set's rows of `ctc_lightning.analysis.information_summary`.
        setting: of which.
    """
    rows = of_setting(summary, setting)
    targets = sorted(rows["target"].unique(), key=lambda target: target != SOURCE)
    place = {target: i for i, target in enumerate(targets)}
    rows = rows.sort_values("target", kind="stable", key=lambda names: names.map(place))
    decimals = DECIMALS[setting.quantity]
    head = ["on", "method", "peak", "end", "change", against(rows)]
    cells = [
        [str(row.target), label(str(row.method)), _peak(row, decimals), _end(row, decimals),
         change(row, decimals), difference(row, decimals)]
        for row in rows.itertuples()
    ]  # fmt: skip
    shown = [place for place, name in enumerate(head) if name]
    lines = [[line[place] for place in shown] for line in (head, *cells)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    grid = [f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines]
    return "\n".join([f"**{setting.title}.** {legend(rows)}", "", *grid])


def legend(rows: pd.DataFrame) -> str:
    """How to read a cell, with the number of seeds."""
    fewest, most = rows["n"].min(), rows["n"].max()
    seeds = f"{most if fewest == most else f'{fewest} to {most}'} seeds"
    spread = "one seed" if most == 1 else f"mean±std of {seeds} [95 % t-interval over seeds]"
    flagged = (rows[["peak_note", "end_note"]] != "").any(axis=None)
    marked = f" {FLAG}: flagged, as the words say." if flagged else ""
    return f"In nats, {spread}; change: from the peak to the end.{marked}"


def against(rows: pd.DataFrame) -> str:
    """``minus CE``, the difference's heading; "" where there is none."""
    names = [label(name) for name in dict.fromkeys(rows["against"]) if name]
    return f"minus {' or '.join(names)}" if names else ""


def change(row: Any, decimals: int) -> str:
    """``−1.10±0.05 [−1.22, −0.98]``."""
    text = number(row.change_mean, decimals, sign=True) + _spread(row.change_std, decimals)
    return text + interval(row.change_low, row.change_high, decimals)


def difference(row: Any, decimals: int) -> str:
    """``+1.02 [0.90, 1.14]``, with the number of pairs where not every seed has one."""
    few = f" ({row.pairs} pairs)" if 0 < row.pairs < row.n else ""
    text = number(row.difference_mean, decimals, sign=True)
    return text + interval(row.difference_low, row.difference_high, decimals) + few


def peak_epochs(row: Any) -> str:
    """``epoch 4``, or ``epochs 4–10`` where seeds differ."""
    first, last = row.first_peak, row.last_peak
    return f"epoch {first}" if first == last else f"epochs {first}–{last}"


def number(value: float, decimals: int, *, sign: bool = False) -> str:
    """With a true minus; a dash for NaN."""
    if pd.isna(value):
        return "–"
    value = round(value, decimals) + 0.0  # + 0.0 turns −0.0 into 0.0
    return (f"{value:+.{decimals}f}" if sign and value else f"{value:.{decimals}f}").replace("-", "−")


def interval(low: float, high: float, decimals: int) -> str:
    """`` [0.90, 1.14]``, nothing for NaN."""
    return "" if pd.isna(low) else f" [{number(low, decimals)}, {number(high, decimals)}]"


def _peak(row: Any, decimals: int) -> str:
    if pd.isna(row.peak_mean):
        return "–"
    value = number(row.peak_mean, decimals) + _spread(row.peak_std, decimals)
    return f"{value}{FLAG if row.peak_note else ''} ({peak_epochs(row)})"


def _end(row: Any, decimals: int) -> str:
    value = number(row.end_mean, decimals) + _spread(row.end_std, decimals)
    return f"{value}{FLAG if row.end_note else ''}"


def _spread(std: float, decimals: int) -> str:
    return "" if pd.isna(std) else f"±{number(std, decimals)}"
