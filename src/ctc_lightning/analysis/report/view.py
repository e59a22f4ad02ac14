"""What one protocol says of one data set: its figures, its words and its log-odds."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from ctc_lightning.analysis.figures.best_against_last import best_against_last_figure
from ctc_lightning.analysis.figures.captions import READING
from ctc_lightning.analysis.figures.drop import drop_figure
from ctc_lightning.analysis.figures.log_odds import log_odds_figure
from ctc_lightning.analysis.figures.plane import no_plane
from ctc_lightning.analysis.figures.style import save
from ctc_lightning.analysis.figures.trade_off import trade_off_figure
from ctc_lightning.analysis.frames.comparable import common_targets
from ctc_lightning.analysis.frames.log_odds import log_odds_summary
from ctc_lightning.analysis.frames.methods import label
from ctc_lightning.analysis.frames.trade_off import curves, shown_protocols
from ctc_lightning.analysis.report.html_of_markdown import html_of_markdown
from ctc_lightning.analysis.report.html_table import log_odds_html, nats
from ctc_lightning.analysis.report.page import Block, Picture
from ctc_lightning.analysis.report.table import numbers
from ctc_lightning.analysis.report.verdict import verdict


class View(NamedTuple):
    """Of one protocol.

    Attributes:
        protocol: its name.
        suffix: of headings, "" for the headline.
        pictures: by name.
        files: their names.
        words: the verdict.
        absent: why there is no plane.
        odds: the log-odds' summary; None without a target that all methods have.
    """

    protocol: str
    suffix: str
    pictures: dict[str, Picture]
    files: list[str]
    words: str
    absent: str
    odds: pd.DataFrame | None

    def parts(self, table: str) -> list[Picture | Block]:
        """The page's parts in reading order, the HTML table of the protocol among them."""
        found: list[Picture | Block] = [
            self.pictures[name] for name in ("trade_off",) if name in self.pictures
        ]
        if self.absent:
            found.append(Block(f"Without a plane{self.suffix}", html_of_markdown(self.absent)))
        if self.words:
            found.append(Block(f"In words{self.suffix}", html_of_markdown(self.words)))
        found += [self.pictures[name] for name in ("drop", "best_against_last") if name in self.pictures]
        found.append(Block(f"Peak, end and drop{self.suffix}", table))
        if self.odds is not None:
            found.append(self.pictures["log_odds"])
            found.append(Block(f"Mean log-odds, table{self.suffix}", log_odds_html(self.odds)))
        return found


def view_all(runs: pd.DataFrame, rows: pd.DataFrame, output: Path, suffix: str) -> list[View]:
    """The headline's view, then one of each further protocol with targets that the ones before lack.

    Args:
        runs: comparable runs of one data set.
        rows: their summary.
        output: the folder for the figures.
        suffix: of the files' names; those of a further protocol are called after it, too.
    """
    headline, *further = shown_protocols(runs)
    views = [_view(runs, rows, headline, output, suffix, "")]
    return views + [_view(runs, rows, name, output, f"{suffix}_{name}", f" ({name})") for name in further]


def has_log_odds(runs: pd.DataFrame, protocol: str) -> bool:
    """Whether there is a target that every method was measured on."""
    measured = curves(runs)
    return bool(common_targets(measured[measured["protocol"] == protocol]))


def log_odds_text(view: View, most: int) -> str:
    """The best methods' mean log-odds, for a terminal."""
    if view.odds is None:
        return ""
    rows = _log_odds_rows(view.odds)[:most]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {value}" for name, value in rows]
    return "\n".join([f"Mean log-odds over targets at the end, in nats{view.suffix}", "", *lines])


def log_odds_markdown(view: View) -> str:
    """Every method's mean log-odds."""
    if view.odds is None:
        return ""
    lines = ["|  | mean log-odds at the end |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in _log_odds_rows(view.odds)]
    return f"**Mean over targets of ln(p / (1 − p)), in nats{view.suffix}.**\n\n" + "\n".join(lines)


def _view(
    runs: pd.DataFrame, rows: pd.DataFrame, protocol: str, output: Path, files_suffix: str, suffix: str
) -> View:
    trained = not runs["plain"].all()
    in_common = has_log_odds(runs, protocol)
    makers: dict[str, Callable[[pd.DataFrame, str], Figure]] = {}
    if trained:
        makers |= {"trade_off": trade_off_figure, "best_against_last": best_against_last_figure}
        makers |= {"drop": drop_figure}
    if in_common:
        makers["log_odds"] = log_odds_figure
    files: list[str] = []
    pictures: dict[str, Picture] = {}
    for name, make in makers.items():
        stem = f"{name}{files_suffix}"
        files += save(make(runs, protocol), output / stem)
        svg = (output / f"{stem}.svg").read_text(encoding="utf-8")
        heading, reading = READING[name]
        pictures[name] = Picture(stem, svg, heading + suffix, reading)
    return View(
        protocol=protocol,
        suffix=suffix,
        pictures=pictures,
        files=files,
        words=verdict(rows, protocol) if trained else "",
        absent=no_plane(runs, protocol),
        odds=log_odds_summary(runs, protocol) if in_common else None,
    )


def _log_odds_rows(odds: pd.DataFrame) -> list[tuple[str, str]]:
    ordered = odds.sort_values("final_mean", ascending=False, kind="stable")
    return [(label(str(row.method)), nats(*numbers(row)[1])) for row in ordered.itertuples()]
