"""A part of what is told of one data set: in the terminal, in Markdown, on the page, as files and numbers."""

from typing import NamedTuple

import pandas as pd

from ctc_lightning.analysis.report.page import Block, Picture


class Told(NamedTuple):
    """Of transfer, or of information.

    Attributes:
        terminal: paragraphs.
        markdown: likewise.
        parts: of the page's section.
        files: names of the figures' files.
        numbers: for a table of its own; None: there are none.
    """

    terminal: list[str]
    markdown: list[str]
    parts: list[Picture | Block]
    files: list[str]
    numbers: pd.DataFrame | None
