"""All that is found out about one data set: for the terminal, in Markdown, for the page, as figures."""

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ctc_lightning.analysis.figures.captions import READING
from ctc_lightning.analysis.figures.highlight import MOST, in_order
from ctc_lightning.analysis.figures.ranking import ranking_figure
from ctc_lightning.analysis.figures.style import save
from ctc_lightning.analysis.frames.comparable import with_targets
from ctc_lightning.analysis.frames.few_shot import PROTOCOL as FEW_SHOT
from ctc_lightning.analysis.frames.few_shot import few_shot_summary, one_column_each
from ctc_lightning.analysis.frames.ranking import SCORE_PROTOCOLS, ranking
from ctc_lightning.analysis.frames.ranking_table import ranking_table
from ctc_lightning.analysis.frames.runs import read_provenance
from ctc_lightning.analysis.frames.trade_off import HEADLINES, headline, protocols_of, summary
from ctc_lightning.analysis.report.grid_view import grid_view
from ctc_lightning.analysis.report.html_of_markdown import html_of_markdown
from ctc_lightning.analysis.report.html_table import html_table
from ctc_lightning.analysis.report.information_view import information_view
from ctc_lightning.analysis.report.page import Block, Picture, Section
from ctc_lightning.analysis.report.table import markdown_table, text_table, title
from ctc_lightning.analysis.report.told import Told
from ctc_lightning.analysis.report.view import log_odds_markdown, log_odds_text, view_all

ON_TERMINAL = 10  # methods
_PACKAGES = ("torch", "pytorch-lightning", "scikit-learn")  # that numbers depend on most


class Findings(NamedTuple):
    """Of one data set.

    Attributes:
        terminal: paragraphs.
        markdown: likewise.
        section: of the page.
        files: names of the figures' files.
        ranking: how well scores rank, None without scores.
        information: of `ctc_lightning.analysis.information_summary`, None without estimates.
        sweep: of `ctc_lightning.analysis.sweep_table`, None where the runs are no grid.
    """

    terminal: list[str]
    markdown: list[str]
    section: Section
    files: list[str]
    ranking: pd.DataFrame | None
    information: pd.DataFrame | None
    sweep: pd.DataFrame | None


def findings(runs: pd.DataFrame, output: Path, suffix: str) -> Findings:
    """Draw and save the figures of one data set, and write its paragraphs.

    Args:
        runs: its comparable runs.
        output: the folder for the figures.
        suffix: of their names.
    """
    data, origin = str(runs["data"].iloc[0]), _origin(runs)
    measured = with_targets(runs)
    transfer = _transfer(measured, output, suffix) if len(measured) else None
    grid = grid_view(measured, output, suffix) if len(measured) else None
    information = information_view(runs, output, suffix)
    told = [one for one in (transfer, grid, information) if one is not None]
    return Findings(
        [f"{data}\n{'=' * len(data)}\n{origin}", *(text for one in told for text in one.terminal if text)],
        [f"## {data}", origin, *(text for one in told for text in one.markdown if text)],
        Section(data, origin, [part for one in told for part in one.parts]),
        [name for one in told for name in one.files],
        transfer.numbers if transfer else None,
        information.numbers if information else None,
        grid.numbers if grid else None,
    )


def _transfer(runs: pd.DataFrame, output: Path, suffix: str) -> Told:
    """What accuracies and scores say, with the ranking's numbers."""
    protocol, rows = headline(runs), summary(runs)
    views = view_all(runs, rows, output, suffix)
    few = few_shot_summary(runs)
    tables = [(name, rows) for name in protocols_of(runs)]
    tables += [(FEW_SHOT, one_column_each(few))] if len(few) else []
    many = len(in_order(rows, protocol)) > MOST

    terminal = [text_table(of, name, ON_TERMINAL if many else None) for name, of in tables]
    markdown = [
        f"![{picture.heading}]({picture.name}.png)" for view in views for picture in view.pictures.values()
    ]
    markdown += [markdown_table(of, name) for name, of in tables]
    parts: list[Picture | Block] = []
    for view in views:
        terminal += [log_odds_text(view, ON_TERMINAL), view.absent, view.words]
        markdown += [log_odds_markdown(view), view.absent, view.words]
        parts += view.parts(html_table(rows, view.protocol))
    drawn = {view.protocol for view in views}
    parts += [
        Block(title(name), html_table(of, name), folded=True) for name, of in tables if name not in drawn
    ]

    files = [name for view in views for name in view.files]
    ranked = _ranking(runs, protocol)
    if ranked is not None:
        stem, table = f"ranking{suffix}", ranking_table(ranked)
        files += save(ranking_figure(ranked), output / stem)
        svg = (output / f"{stem}.svg").read_text(encoding="utf-8")
        markdown += [f"![{READING['ranking'][0]}]({stem}.png)", table]
        parts.append(Picture(stem, svg, *READING["ranking"]))
        parts.append(Block("How well scores rank", html_of_markdown(table), folded=True))
    return Told(terminal, markdown, parts, files, ranked)


def _ranking(runs: pd.DataFrame, protocol: str) -> pd.DataFrame | None:
    """How well scores rank the checkpoints; None where there are none beside measured transfer."""
    trained = runs[~runs["plain"]]
    scored = trained[trained["protocol"].isin(SCORE_PROTOCOLS)]
    judges = HEADLINES if protocol in HEADLINES else (protocol,)
    measured = trained[trained["protocol"].isin(judges)]
    moment = ["path", "epoch", "target"]
    if scored[moment].merge(measured[moment]).empty:
        return None
    return ranking(trained, None if protocol in HEADLINES else protocol)


def _origin(runs: pd.DataFrame) -> str:
    """One line: how many runs and seeds, how long, on what hardware, from which commit and versions."""
    trained = runs[~runs["plain"]]
    paths = (trained if len(trained) else runs)["path"].unique()
    records = [read_provenance(path) for path in paths]
    hardware, commit = (
        " and ".join(dict.fromkeys(str(record.get(key) or "unknown") for record in records))
        for key in ("hardware", "commit")
    )
    minutes = sum(record.get("seconds", 0) for record in records) / 60
    kind = "run" if len(trained) else "backbone"
    counted = (
        f"{_plural(len(records), kind)}, {_plural(runs['seed'].nunique(), 'seed')}, {minutes:.1f} minutes"
    )
    if unfinished := sum(record.get("status") == "running" for record in records):
        counted += f" ({unfinished} unfinished: the last epoch so far counts as the end)"
    versions = " and ".join(dict.fromkeys(_versions(record) for record in records))
    return f"{counted}; hardware: {hardware}; commit: {commit}; {versions}"


def _versions(record: dict[str, Any]) -> str:
    """``torch 2.6.0, …``, as far as the run wrote them down."""
    known = record.get("versions") or {}
    shown = [f"{name} {known[name]}" for name in _PACKAGES if name in known]
    return ", ".join(shown) or "versions: unknown"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
