"""All that is found out about one data set: for the terminal, in Markdown, for the page, as figures."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from ctc_lightning.analysis.best_against_last import best_against_last_figure
from ctc_lightning.analysis.comparable import common_targets
from ctc_lightning.analysis.drop import drop_figure
from ctc_lightning.analysis.few_shot import PROTOCOL as FEW_SHOT
from ctc_lightning.analysis.few_shot import few_shot_summary, one_column_each
from ctc_lightning.analysis.figures import trade_off_figure
from ctc_lightning.analysis.highlight import MOST, in_order
from ctc_lightning.analysis.html_of_markdown import html_of_markdown
from ctc_lightning.analysis.html_table import html_table, log_odds_html, nats
from ctc_lightning.analysis.log_odds import log_odds_summary
from ctc_lightning.analysis.log_odds_figure import log_odds_figure
from ctc_lightning.analysis.look import save
from ctc_lightning.analysis.methods import label
from ctc_lightning.analysis.page import Block, Picture, Section
from ctc_lightning.analysis.plane import no_plane
from ctc_lightning.analysis.ranking import SCORE_PROTOCOLS, ranking
from ctc_lightning.analysis.ranking_figure import ranking_figure
from ctc_lightning.analysis.ranking_table import ranking_table
from ctc_lightning.analysis.reading import READING
from ctc_lightning.analysis.runs import read_provenance
from ctc_lightning.analysis.table import markdown_table, numbers, text_table, title
from ctc_lightning.analysis.trade_off import curves, headline, protocols_of, summary
from ctc_lightning.analysis.verdict import verdict

ON_TERMINAL = 10  # methods


class Findings(NamedTuple):
    """Of one data set: paragraphs for terminal and Markdown, the page's section, files, the ranking."""

    terminal: list[str]
    markdown: list[str]
    section: Section
    files: list[str]
    ranking: pd.DataFrame | None


def findings(runs: pd.DataFrame, output: Path, suffix: str) -> Findings:
    """Draw and save the figures of one data set, and write its paragraphs.

    Args:
        runs: its comparable runs.
        output: the folder for the figures.
        suffix: of their names.
    """
    data, protocol, rows = str(runs["data"].iloc[0]), headline(runs), summary(runs)
    few = few_shot_summary(runs)
    few = one_column_each(few) if len(few) else few
    trained = not runs["plain"].all()
    measured = curves(runs)
    in_common = bool(common_targets(measured[measured["protocol"] == protocol]))
    odds = log_odds_summary(runs) if in_common else None
    ranked = _ranking(runs, protocol)

    makers: dict[str, Callable[[], Figure]] = {}
    if trained:
        makers = {
            "trade_off": lambda: trade_off_figure(runs),
            "best_against_last": lambda: best_against_last_figure(runs),
            "drop": lambda: drop_figure(runs),
        }
    if in_common:
        makers["log_odds"] = lambda: log_odds_figure(runs)
    if ranked is not None:
        makers["ranking"] = lambda: ranking_figure(ranked)
    files: list[str] = []
    pictures: dict[str, Picture] = {}
    for name, make in makers.items():
        files += save(make(), output / f"{name}{suffix}")
        svg = (output / f"{name}{suffix}.svg").read_text(encoding="utf-8")
        pictures[name] = Picture(f"{name}{suffix}", svg, *READING[name])

    origin, absent = _origin(runs), no_plane(runs)
    words = verdict(rows, protocol) if trained else ""
    many = len(in_order(rows, protocol)) > MOST
    tables = [(name, rows) for name in protocols_of(runs)] + ([(FEW_SHOT, few)] if len(few) else [])

    terminal = [f"{data}\n{'=' * len(data)}\n{origin}"]
    terminal += [text_table(of, name, ON_TERMINAL if many else None) for name, of in tables]
    terminal += [_log_odds_text(odds, ON_TERMINAL), absent, words]
    markdown = [f"## {data}", origin, absent]
    markdown += [f"![{READING[name][0]}]({name}{suffix}.png)" for name in pictures if name != "ranking"]
    markdown += [markdown_table(of, name) for name, of in tables]
    markdown += [_log_odds_markdown(odds), words]
    parts: list[Picture | Block] = []
    if trained:
        parts.append(pictures["trade_off"])
    if absent:
        parts.append(Block("Without a plane", html_of_markdown(absent)))
    if words:
        parts.append(Block("In words", html_of_markdown(words)))
    parts += [pictures[name] for name in ("drop", "best_against_last") if name in pictures]
    parts.append(Block("Peak, end and drop", html_table(rows, protocol)))
    if odds is not None:
        parts += [pictures["log_odds"], Block("Mean log-odds, table", log_odds_html(odds))]
    parts += [Block(title(name), html_table(of, name), folded=True) for name, of in tables[1:]]
    if ranked is not None:
        table = ranking_table(ranked)
        markdown += [f"![{READING['ranking'][0]}](ranking{suffix}.png)", table]
        parts += [pictures["ranking"], Block("How well scores rank", html_of_markdown(table), folded=True)]
    return Findings(
        [text for text in terminal if text],
        [text for text in markdown if text],
        Section(data, origin, parts),
        files,
        ranked,
    )


def _ranking(runs: pd.DataFrame, protocol: str) -> pd.DataFrame | None:
    """How well scores rank the checkpoints; None where none were measured beside the headline."""
    trained = runs[~runs["plain"]]
    scored = trained[trained["protocol"].isin(SCORE_PROTOCOLS)]
    moment = ["path", "epoch", "target"]
    if scored[moment].merge(trained.loc[trained["protocol"] == protocol, moment]).empty:
        return None
    return ranking(trained, protocol)


def _log_odds_rows(odds: pd.DataFrame) -> list[tuple[str, str]]:
    ordered = odds.sort_values("final_mean", ascending=False, kind="stable")
    return [(label(str(row.method)), nats(*numbers(row)[1])) for row in ordered.itertuples()]


def _log_odds_text(odds: pd.DataFrame | None, most: int) -> str:
    if odds is None:
        return ""
    rows = _log_odds_rows(odds)
    width = max(len(name) for name, _ in rows[:most])
    lines = [f"{name:<{width}}  {value}" for name, value in rows[:most]]
    return "\n".join(["Mean log-odds over targets at the end, in nats", "", *lines])


def _log_odds_markdown(odds: pd.DataFrame | None) -> str:
    if odds is None:
        return ""
    lines = ["|  | mean log-odds at the end |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in _log_odds_rows(odds)]
    return "**Mean over targets of ln(p / (1 − p)), in nats.**\n\n" + "\n".join(lines)


def _origin(runs: pd.DataFrame) -> str:
    """One line: how many runs and seeds, on what hardware, from which commit, in how many minutes."""
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
    return f"{counted}; hardware: {hardware}; commit: {commit}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
