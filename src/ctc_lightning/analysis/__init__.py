"""Finished runs as numbers, tables, words and figures: `load_runs` reads them, all else takes its frame."""

from ctc_lightning.analysis.figures.best_against_last import best_against_last_figure
from ctc_lightning.analysis.figures.drop import drop_figure
from ctc_lightning.analysis.figures.feature_map import feature_map_figure, principal_components
from ctc_lightning.analysis.figures.geometry import geometry_figure
from ctc_lightning.analysis.figures.information import information_figure
from ctc_lightning.analysis.figures.information_plane import information_plane_figure
from ctc_lightning.analysis.figures.log_odds import log_odds_figure
from ctc_lightning.analysis.figures.plane import no_plane
from ctc_lightning.analysis.figures.spectrum import spectrum, spectrum_figure
from ctc_lightning.analysis.figures.sweep import heat_maps_figure, pareto_figure
from ctc_lightning.analysis.figures.trade_off import trade_off_figure
from ctc_lightning.analysis.frames.comparable import comparable, failures
from ctc_lightning.analysis.frames.information import information_curves
from ctc_lightning.analysis.frames.information_change import information_summary
from ctc_lightning.analysis.frames.log_odds import log_odds_curves, log_odds_summary
from ctc_lightning.analysis.frames.logged import load_metrics
from ctc_lightning.analysis.frames.runs import load_runs, read_provenance
from ctc_lightning.analysis.frames.sweep import pareto_front, sweep_table
from ctc_lightning.analysis.frames.trade_off import curves, early_stopping, headline, summary, trade_off
from ctc_lightning.analysis.report.table import markdown_table, text_table
from ctc_lightning.analysis.report.verdict import verdict

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
