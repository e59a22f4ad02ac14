"""Load finished runs and see the trade-off: `load_runs(path)` is the door, everything else takes its frame."""

from ctc_lightning.analysis.figures import trade_off_figure
from ctc_lightning.analysis.runs import load_runs
from ctc_lightning.analysis.table import markdown_table, text_table
from ctc_lightning.analysis.trade_off import comparable, early_stopping, summary, trade_off
from ctc_lightning.analysis.verdict import verdict

__all__ = [
    "comparable",
    "early_stopping",
    "load_runs",
    "markdown_table",
    "summary",
    "text_table",
    "trade_off",
    "trade_off_figure",
    "verdict",
]
