"""Finished runs as numbers, tables, words and figures: `load_runs` reads them, all else takes its frame."""

from ctc_lightning.analysis.best_against_last import best_against_last_figure
from ctc_lightning.analysis.comparable import comparable, failures
from ctc_lightning.analysis.drop import drop_figure
from ctc_lightning.analysis.figures import trade_off_figure
from ctc_lightning.analysis.log_odds import log_odds_curves, log_odds_summary
from ctc_lightning.analysis.log_odds_figure import log_odds_figure
from ctc_lightning.analysis.plane import no_plane
from ctc_lightning.analysis.runs import load_runs, read_provenance
from ctc_lightning.analysis.table import markdown_table, text_table
from ctc_lightning.analysis.trade_off import curves, early_stopping, headline, summary, trade_off
from ctc_lightning.analysis.verdict import verdict

__all__ = [
    "best_against_last_figure",
    "comparable",
    "curves",
    "drop_figure",
    "early_stopping",
    "failures",
    "headline",
    "load_runs",
    "log_odds_curves",
    "log_odds_figure",
    "log_odds_summary",
    "markdown_table",
    "no_plane",
    "read_provenance",
    "summary",
    "text_table",
    "trade_off",
    "trade_off_figure",
    "verdict",
]
