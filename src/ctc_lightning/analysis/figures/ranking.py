"""ranking.png: how well each score ranks checkpoints by their measured transfer, the best score on top."""

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ctc_lightning.analysis.figures.report_part import ReportPart
from ctc_lightning.analysis.frames.ranking import (
    ALL,
    MEAN,
    SCOPES,
    SCORE_PROTOCOLS,
    SOURCE_ACCURACY,
    VALIDATION,
    WITHIN,
    ranking,
)
from ctc_lightning.analysis.frames.ranking_table import SIGNS, check_one_data_set, ranking_table, title
from ctc_lightning.analysis.frames.trade_off import HEADLINES, headline

INK, FAINT = "#333333", "#E4E4E4"
SCORE_COLOUR, REFERENCE_COLOUR = "#0072B2", "#D55E00"  # Okabe & Ito: told apart by colour-blind readers
QUESTION = {ALL: "Which checkpoint of which method?", WITHIN: "When to stop a run?"}


def ranking_figure(rankings: pd.DataFrame) -> Figure:
    """One data set's picture: a line for each score, left over all checkpoints, right within runs.

    The large dot is Spearman's ρ, averaged over targets and seeds, its band ± the std over seeds; small dots
    are single targets. Source accuracy and the probe's own validation accuracy have a colour of their own.

    Args:
        rankings: one data set's rows of `ctc_lightning.analysis.frames.ranking`.

    Returns:
        A figure outside pyplot's global state: save it with ``savefig(path, dpi=150)``.

    Raises:
        ValueError: no rows, or those of several data sets.
    """
    check_one_data_set(rankings)
    scores = rankings.loc[(rankings["scope"] == ALL) & (rankings["target"] == MEAN), "score"].tolist()
    figure = Figure(figsize=(12, 2.1 + 0.34 * len(scores)), layout="constrained")
    for axes, scope in zip(figure.subplots(1, 2, sharey=True), SCOPES, strict=True):
        _panel(axes, rankings[rankings["scope"] == scope], scores)
        axes.set_title(f"{QUESTION[scope]}\n{scope}", color=INK, fontsize=12)
    figure.suptitle(
        f"{rankings['data'].iloc[0]}: does the score order checkpoints as their measured transfer does?",
        color=INK,
        fontsize=14,
    )
    figure.legend(handles=_key(rankings), loc="outside lower center", ncols=4, frameon=False, title=SIGNS)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, scores: list[str]) -> None:
    for place, score in enumerate(scores):
        of_score = rows[(rows["score"] == score) & rows["spearman_mean"].notna()]
        colour = REFERENCE_COLOUR if score in (SOURCE_ACCURACY, VALIDATION) else SCORE_COLOUR
        single = of_score[of_score["target"] != MEAN]
        axes.scatter(single["spearman_mean"], [place] * len(single), 16, color=colour, alpha=0.4, lw=0)
        for mean, std in of_score.loc[
            of_score["target"] == MEAN, ["spearman_mean", "spearman_std"]
        ].to_numpy():
            axes.barh(place, 2 * std, 0.55, left=mean - std, color=colour, alpha=0.25, lw=0)
            axes.scatter(mean, place, 90, color=colour, zorder=3)
    axes.set_yticks(range(len(scores)), [title(score) for score in scores], color=INK)
    axes.set_ylim(len(scores) - 0.4, -0.6)  # the best on top
    axes.set_xlim(-1.05, 1.05)
    axes.set_xticks([-1, -0.5, 0, 0.5, 1], ["−1\nreversed", "−0.5", "0\nno relation", "0.5", "1\nsame order"])
    axes.axvline(0, color=INK, lw=1)
    axes.grid(color=FAINT)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.set_xlabel("Spearman's ρ", color=INK)


def _key(rankings: pd.DataFrame) -> list[Artist]:
    seeds = int(rankings["n_seeds"].max())
    several = [Patch(color=INK, alpha=0.25, lw=0, label=f"± std over {seeds} seeds")] if seeds > 1 else []
    return [
        _dot(SCORE_COLOUR, 9, "score, mean over targets"),
        _dot(REFERENCE_COLOUR, 9, "accuracy, for comparison"),
        _dot("#999999", 4, "a single target"),
        *several,
    ]


def _dot(colour: str, size: float, label: str) -> Line2D:
    return Line2D([], [], color=colour, marker="o", ls="", ms=size, label=label)


def each_ranking(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rankings, if a checkpoint has both a score and measured transfer."""
    trained, protocol, checkpoint = runs[~runs["plain"]], headline(runs), ["path", "epoch", "target"]
    scored = trained.loc[trained["protocol"].isin(SCORE_PROTOCOLS), checkpoint]
    probes = HEADLINES if protocol in HEADLINES else (protocol,)
    if scored.merge(trained.loc[trained["protocol"].isin(probes), checkpoint]).empty:
        return {}
    return {"": ranking(trained, None if protocol in HEADLINES else protocol)}


RANKING = ReportPart(
    "ranking",
    "Scores that need no training",
    lambda _, rankings: ranking_figure(rankings),
    "The further right a score's dot, the better it orders checkpoints by their measured transfer; 0 is "
    "chance.",
    lambda _, rankings: ranking_table(rankings),
    terminal=lambda *_: "",
    numbers=lambda _, rankings: rankings,
    csv="ranking.csv",
    each=each_ranking,
    folded_table="How well scores rank",
)
