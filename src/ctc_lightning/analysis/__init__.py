"""Finished runs as numbers, tables, words and figures: `load_runs` reads them, all else takes its frame."""

from ctc_lightning.analysis.figures import trade_off_figure
from ctc_lightning.analysis.runs import load_runs, read_provenance
from ctc_lightning.analysis.table import markdown_table, text_table
from ctc_lightning.analysis.trade_off import comparable, early_stopping, summary, trade_off
from ctc_lightning.analysis.verdict import verdict

__all__ = [
    "comparable",
    "early_stopping",
    "load_runs",
    "markdown_table",
    "read_provenance",
    "summary",
    "text_table",
    "trade_off",
    "trade_off_figure",
    "verdict",
]
