"""The summary's tables in HTML: the same cells as in Markdown, numbers under each other, losses tinted."""

from html import escape
from typing import Any

import pandas as pd

from ctc_lightning.analysis.frames.trade_off import SOURCE
from ctc_lightning.analysis.report.html_of_markdown import table_frame
from ctc_lightning.analysis.report.table import Grid, grid, interval, legend, numbers, percent, spread, title


def html_table(summary: pd.DataFrame, protocol: str) -> str:
    """One protocol's table with its heading: in each cell the final accuracy above peak and drop.

    The best final accuracy of a column is bold, the tint of a cell grows with its drop.

    Args:
        summary: one data set's rows of `ctc_lightning.analysis.summary`.
        protocol: the probe, by its name.
    """
    table = grid(summary, protocol)
    best = [_best(table, column) for column in range(len(table.columns))]
    head = "".join(f'<th scope="col">{escape(named)}</th>' for _, named in table.columns)
    body = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(map(_cell, cells, best, _is_source(table)))}</tr>'
        for name, cells in table.rows
    )
    rows = f"<thead><tr><td></td>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>"
    return (
        f"<h4>{escape(title(protocol))}</h4>\n<p>{escape(legend(summary))}. Bold: the best at the end.</p>\n"
        + table_frame(rows, len(table.rows))
    )


def _is_source(table: Grid) -> list[bool]:
    return [target == SOURCE for target, _ in table.columns]


def _best(table: Grid, column: int) -> Any:
    ends = [cells[column] for _, cells in table.rows]
    ends = [row for row in ends if row and row.stopped == "at the end" and not row.plain]
    return max(ends, key=lambda row: row.final_mean, default=None)


def _cell(row: Any, best: Any, is_source: bool) -> str:
    if row is None:
        return "<td>–</td>"
    peak, final, drop = (f"{percent(mean)}{spread(std)}" for mean, std in numbers(row))
    final = f"<b>{final}</b>" if row is best else final
    if not peak:
        return f"<td>{final}<small>{interval(row)}</small></td>"
    loss = 0 if is_source else min(max(row.drop_mean, 0), 1)
    tint = f' style="--loss:{100 * loss:.0f}%"' if loss >= 0.005 else ""
    return f"<td{tint}>{final}<small>{interval(row)}<br>peak {peak}<br>drop {drop}</small></td>"
