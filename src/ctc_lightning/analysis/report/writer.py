"""Collects the parts of each data set: terminal text, Markdown, sections of the page, files, CSV tables."""

from collections.abc import Sequence
from html import escape
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import pandas as pd

from ctc_lightning.analysis.figures.report_part import ReportPart
from ctc_lightning.analysis.figures.style import save
from ctc_lightning.analysis.frames.comparable import with_targets
from ctc_lightning.analysis.report.html_of_markdown import html_of_markdown
from ctc_lightning.analysis.report.origin import origin
from ctc_lightning.analysis.report.page import anchor, inline_svg


class ReportWriter:
    """Saves the figures at once; everything else is in its attributes.

    Args:
        output: the folder for the figures.
        parts: of the report, in order.
    """

    def __init__(self, output: Path, parts: Sequence[ReportPart]) -> None:
        self.output, self.parts = output, parts
        self.terminal: list[str] = []  # paragraphs
        self.markdown: list[str] = []  # paragraphs
        self.sections: list[dict[str, Any]] = []  # of the page, see `page`
        self.files: list[str] = []  # names of the figures' files
        self.tables: dict[str, list[pd.DataFrame]] = {}  # file name -> tables to join

    def add(self, runs: pd.DataFrame, suffix: str) -> None:
        """Add one data set.

        Args:
            runs: its comparable runs.
            suffix: of the figures' file names.
        """
        data, measured = str(runs["data"].iloc[0]), with_targets(runs)
        self.terminal.append(f"{data}\n{'=' * len(data)}\n{origin(runs)}")
        self.markdown += [f"## {data}", origin(runs)]
        shown: list[dict[str, Any]] = []
        for (each, all_runs), group in groupby(self.parts, attrgetter("each", "all_runs")):
            rows, parts = runs if all_runs else measured, list(group)
            for key, choice in each(rows).items() if len(rows) else ():
                needed = [part for part in parts if part.when(rows, choice)]
                shown += [self._part(part, rows, choice, key, suffix) for part in needed]
        self.sections.append({"title": data, "anchor": anchor(data), "origin": origin(runs), "parts": shown})

    def _part(
        self, part: ReportPart, runs: pd.DataFrame, choice: Any, key: str, suffix: str
    ) -> dict[str, Any]:
        """Add the texts and files of one part; returns what the page shows."""
        heading = part.heading(key, choice)
        stem = f"{part.name}{suffix}" + (f"_{key}" if key else "")
        shown = {
            "anchor": anchor("part", stem),
            "heading": heading,
            "folded": part.folded,
            "svg": "",
            "html": "",
        }
        shown |= {"caption": part.caption, "folded_table": part.folded_table}
        if part.figure and (figure := part.figure(runs, choice)):
            self.files += save(figure, self.output / stem)
            svg = inline_svg((self.output / f"{stem}.svg").read_text(encoding="utf-8"), stem)
            shown["svg"] = svg.replace("<svg", f'<svg role="img" aria-label="{escape(heading)}"', 1)
            self.markdown.append(f"![{heading}]({stem}.png)")
        if part.table:
            text = part.table(runs, choice)
            self.markdown.append(text)
            self.terminal.append(part.terminal(runs, choice) if part.terminal else text)
            shown["html"] = part.html(runs, choice) if part.html else html_of_markdown(text)
        if part.numbers:
            self.tables.setdefault(part.csv, []).append(part.numbers(runs, choice))
        return shown
