"""The parts of the report, in order; a part that is a figure is in the figure's file."""

from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure

from ctc_lightning.analysis.figures.best_against_last import BEST_AGAINST_LAST
from ctc_lightning.analysis.figures.drop import DROP
from ctc_lightning.analysis.figures.highlight import MOST, in_order
from ctc_lightning.analysis.figures.information import information_figure
from ctc_lightning.analysis.figures.information_plane import FURTHER_PLANES, INFORMATION_PLANE
from ctc_lightning.analysis.figures.log_odds import LOG_ODDS
from ctc_lightning.analysis.figures.plane import no_plane
from ctc_lightning.analysis.figures.ranking import RANKING
from ctc_lightning.analysis.figures.report_part import ReportPart, each_protocol, is_trained
from ctc_lightning.analysis.figures.sweep import GRID, NO_GRID, PARETO
from ctc_lightning.analysis.figures.trade_off import TRADE_OFF
from ctc_lightning.analysis.frames.few_shot import PROTOCOL as FEW_SHOT
from ctc_lightning.analysis.frames.few_shot import few_shot_summary, one_column_each
from ctc_lightning.analysis.frames.information import (
    Setting,
    headline_settings,
    information_curves,
    of_setting,
    other_settings,
)
from ctc_lightning.analysis.frames.information_change import information_summary
from ctc_lightning.analysis.frames.trade_off import headline, protocols_of, summary
from ctc_lightning.analysis.report.html_table import html_table
from ctc_lightning.analysis.report.information_table import information_table
from ctc_lightning.analysis.report.information_words import information_words
from ctc_lightning.analysis.report.table import markdown_table, text_table, title
from ctc_lightning.analysis.report.verdict import verdict

ON_TERMINAL = 10  # methods


def _other_protocols(runs: pd.DataFrame) -> dict[str, str]:
    """Those without figures, few-shot classification among them."""
    shown = each_protocol(runs).values()
    few = [FEW_SHOT] if len(few_shot_summary(runs)) else []
    return {name: name for name in [*protocols_of(runs), *few] if name not in shown}


class _Numbers:
    """`summary` of the frame that it was last asked for: the words and all tables of a report are of one."""

    frame: pd.DataFrame | None = None

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        if frame is not self.frame:
            self.frame, self.numbers = frame, summary(frame)
        return self.numbers.copy()


_numbers = _Numbers()


def _rows(runs: pd.DataFrame, protocol: str) -> pd.DataFrame:
    return one_column_each(few_shot_summary(runs)) if protocol == FEW_SHOT else _numbers(runs)


def _terminal_table(runs: pd.DataFrame, protocol: str) -> str:
    many = len(in_order(_numbers(runs), headline(runs))) > MOST
    return text_table(_rows(runs, protocol), protocol, ON_TERMINAL if many else None)


def _information_figure(runs: pd.DataFrame, settings: list[Setting]) -> Figure | None:
    if information_curves(runs)["plain"].all():
        return None
    return information_figure(runs, {setting.quantity: setting.estimator for setting in settings})


def _information(runs: pd.DataFrame, settings: list[Setting]) -> str:
    """Words and tables."""
    numbers = information_summary(runs)
    tables = [information_table(numbers, setting) for setting in settings]
    return "\n\n".join(filter(None, [information_words(numbers, settings), *tables]))


def _information_numbers(runs: pd.DataFrame, settings: list[Setting]) -> pd.DataFrame:
    numbers = information_summary(runs)
    return pd.concat([of_setting(numbers, setting) for setting in settings])


def _by(settings: list[Setting]) -> str:
    return f"{settings[0].symbol} by {settings[0].by}"


WITHOUT_PLANE = ReportPart(
    "no_plane", "Without a plane", table=no_plane, when=lambda runs, protocol: bool(no_plane(runs, protocol))
)
WORDS = ReportPart(
    "words", "In words", table=lambda runs, protocol: verdict(_numbers(runs), protocol), when=is_trained
)
PEAKS = ReportPart(
    "peaks",
    "Peak, end and drop",
    table=lambda runs, protocol: markdown_table(_rows(runs, protocol), protocol),
    html=lambda runs, protocol: html_table(_rows(runs, protocol), protocol),
    terminal=_terminal_table,
)
OTHER_PROTOCOLS = replace(PEAKS, title=title, each=_other_protocols, folded=True)
INFORMATION = ReportPart(
    "information",
    "Information over epochs",
    _information_figure,
    "How much information on the image, I(X;T), and on labels, I(T;Y), the features hold, in nats, each a "
    "held-out estimate. Lines: mean over seeds; bands: lowest to highest seed; light areas: up to the "
    "estimator's upper bound, where it has one. A hollow mark is near the most that its estimator can "
    "answer. Noise of size σ, in units of the features' root mean square deviation, makes I(X;T_σ) finite.",
    _information,
    numbers=_information_numbers,
    csv="information.csv",
    each=headline_settings,
    all_runs=True,
)
OTHER_ESTIMATORS = replace(INFORMATION, title=_by, each=other_settings, folded=True)
PARTS = (
    *(TRADE_OFF, WITHOUT_PLANE, WORDS, DROP, BEST_AGAINST_LAST, PEAKS, LOG_ODDS, OTHER_PROTOCOLS),
    *(RANKING, GRID, PARETO, NO_GRID),
    *(INFORMATION, INFORMATION_PLANE, FURTHER_PLANES, OTHER_ESTIMATORS),
)
