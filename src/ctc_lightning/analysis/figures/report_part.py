"""One part of the report: a title, what it needs, a figure with its caption, a table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ctc_lightning.analysis.frames.methods import label
from ctc_lightning.analysis.frames.trade_off import shown_protocols


def each_protocol(runs: pd.DataFrame) -> dict[str, str]:
    """The headline under "", then each further protocol that measured other targets."""
    headline, *further = shown_protocols(runs)
    return {"": headline} | {name: name for name in further}


def is_trained(runs: pd.DataFrame, _: Any) -> bool:
    """Whether there is a run that is not a plain backbone."""
    return not runs["plain"].all()


@dataclass(frozen=True)
class ReportPart:
    """What the report shows of one data set under one heading. Register it in `report.parts.PARTS`.

    The functions receive the comparable runs of one data set and a choice, for example the protocol.

    Attributes:
        name: stem of the figure's files, and anchor on the page.
        title: heading, which names the choice if there are several; or a function of the choice.
        figure: draws the figure; None from it: there is none.
        caption: how to read the figure.
        table: text and tables in Markdown.
        html: the same for the page, if it is more than the Markdown.
        terminal: the same for the terminal, if it is less than the Markdown.
        numbers: rows of the CSV file named ``csv``.
        each: suffix of files and heading -> choice; the part is repeated for each. Consecutive parts with the
            same ``each`` are grouped by choice.
        when: whether the runs hold what the part needs.
        all_runs: include the runs that have estimates of information alone.
        folded: the page shows the part on request.
        folded_table: heading under which the page shows the table on request; "": the table is in view.
    """

    name: str
    title: str | Callable[[Any], str]
    figure: Callable[[pd.DataFrame, Any], Figure | None] | None = None
    caption: str = ""
    table: Callable[[pd.DataFrame, Any], str] | None = None
    html: Callable[[pd.DataFrame, Any], str] | None = None
    terminal: Callable[[pd.DataFrame, Any], str] | None = None
    numbers: Callable[[pd.DataFrame, Any], pd.DataFrame] | None = None
    csv: str = ""
    each: Callable[[pd.DataFrame], dict[str, Any]] = each_protocol
    when: Callable[[pd.DataFrame, Any], bool] = lambda *_: True
    all_runs: bool = False
    folded: bool = False
    folded_table: str = ""

    def heading(self, suffix: str, choice: Any) -> str:
        """The title for one choice."""
        if callable(self.title):
            return self.title(choice)
        return f"{self.title} ({label(suffix)})" if suffix else self.title
