"""Finished runs as numbers, tables, words and figures: `load_runs` reads them, all else takes its frame."""

from ctc_lightning.analysis.best_against_last import best_against_last_figure
from ctc_lightning.analysis.comparable import comparable, failures
from ctc_lightning.analysis.drop import drop_figure
from ctc_lightning.analysis.feature_map import feature_map_figure, principal_components
from ctc_lightning.analysis.figures import trade_off_figure
from ctc_lightning.analysis.geometry_figure import geometry_figure
from ctc_lightning.analysis.information import information_curves
from ctc_lightning.analysis.information_change import information_summary
from ctc_lightning.analysis.information_figure import information_figure
from ctc_lightning.analysis.information_plane import information_plane_figure
from ctc_lightning.analysis.log_odds import log_odds_curves, log_odds_summary
from ctc_lightning.analysis.log_odds_figure import log_odds_figure
from ctc_lightning.analysis.logged import load_metrics
from ctc_lightning.analysis.plane import no_plane
from ctc_lightning.analysis.runs import load_runs, read_provenance
from ctc_lightning.analysis.spectrum import spectrum, spectrum_figure
from ctc_lightning.analysis.sweep import pareto_front, sweep_table
from ctc_lightning.analysis.sweep_figures import heat_maps_figure, pareto_figure
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
    "feature_map_figure",
    "geometry_figure",
    "headline",
    "heat_maps_figure",
    "information_curves",
    "information_figure",
    "information_plane_figure",
    "information_summary",
    "load_metrics",
    "load_runs",
    "log_odds_curves",
    "log_odds_figure",
    "log_odds_summary",
    "markdown_table",
    "no_plane",
    "pareto_figure",
    "pareto_front",
    "principal_components",
    "read_provenance",
    "spectrum",
    "spectrum_figure",
    "summary",
    "sweep_table",
    "text_table",
    "trade_off",
    "trade_off_figure",
    "verdict",
]
