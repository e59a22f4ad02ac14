"""How well each score ranks checkpoints, as a table in Markdown."""

from typing import Any

import pandas as pd

from ctc_lightning.analysis.frames.ranking import (
    ALL,
    DIRECTION,
    MEAN,
    MIN_CHECKPOINTS,
    SCOPES,
    SOURCE_ACCURACY,
    VALIDATION,
    WITHIN,
)

TITLES = {
    "logme": "LogME",
    "h_score": "H-score",
    "n_leep": "N-LEEP",
    "sfda": "SFDA",
    "leep": "LEEP",
    "nce": "NCE",
    "nc1": "NC1",
    "nc2_equinorm": "NC2, equal norms",
    "nc2_equiangular": "NC2, equal angles",
    "nc2_maximal_angle": "NC2, largest angles",
    "vci": "variability collapse index",
    "alignment": "alignment within classes",
    "uniformity": "uniformity",
    "effective_rank": "effective rank",
    "feature_norm": "feature norm",
    "feature_norm_variation": "variation of feature norm",
    "cka_first": "CKA with the first checkpoint",
    "cka_previous": "CKA with the previous checkpoint",
    SOURCE_ACCURACY: "source accuracy (baseline)",
    VALIDATION: "validation accuracy (reference)",
}


# They describe the very images that transfer is measured on, so that they do not foretell it
OF_TEST_LABELS = ("nc1", "nc2_equinorm", "nc2_equiangular", "nc2_maximal_angle", "vci", "alignment")
SIGNS = "−: lower is expected to be better. *: sees the labels of the test images."


def title(score: str) -> str:
    """The readable name, with the signs that `SIGNS` explains."""
    sign, star = "−" if DIRECTION.get(score, 1) < 0 else "", "*" if score in OF_TEST_LABELS else ""
    return f"{sign}{TITLES.get(score, score)}{star}"


def ranking_table(ranking: pd.DataFrame) -> str:
    """One data set's rankings: the mean over targets in both scopes, then ρ of each target.

    Args:
        ranking: one data set's rows of `ctc_lightning.analysis.frames.ranking`.

    Raises:
        ValueError: no rows, or those of several data sets.
    """
    check_one_data_set(ranking)
    cell = {(row.score, row.target, row.scope): row for row in ranking.itertuples()}
    scores = ranking.loc[(ranking["scope"] == ALL) & (ranking["target"] == MEAN), "score"]
    targets = [target for target in ranking["target"].unique() if target != MEAN]
    means = []
    for score in scores:
        of_scopes = [cell.get((score, MEAN, scope)) for scope in SCOPES]
        numbers = [_number(row, name) for row in of_scopes for name in ("spearman", "tau_w")]
        means.append([title(score), *numbers, *map(_undefined, of_scopes)])
    of_targets = [
        [title(score), *(_number(cell.get((score, target, ALL)), "spearman") for target in targets)]
        for score in scores
    ]
    head = ["score", *(f"{number}, {scope}" for scope in SCOPES for number in ("ρ", "τ_w"))]
    head += [f"undefined, {scope}" for scope in SCOPES]
    return "\n\n".join(
        [
            f"**How well scores rank the checkpoints of {ranking['data'].iloc[0]}.** {legend(ranking)}",
            _grid(head, means),
            f"ρ of each target, {ALL}:",
            _grid(["score", *targets], of_targets),
        ]
    )


def legend(ranking: pd.DataFrame) -> str:
    """How to read the numbers, with those of seeds and checkpoints."""
    seeds = ranking["n_seeds"].max()
    smallest = ranking[ranking["n_undefined"] < ranking["n_rankings"]].groupby("scope")["n_checkpoints"]
    fewest, most = smallest.min(), smallest.max()
    counts = {
        scope: f"{fewest[scope]}" if fewest[scope] == most[scope] else f"{fewest[scope]} to {most[scope]}"
        for scope in SCOPES
        if scope in fewest
    }
    numbers = f"mean ± std of {seeds} seeds" if seeds > 1 else "one seed"
    return (
        "Spearman's ρ and Kendall's weighted τ between score and measured test accuracy, 1: the same order, "
        f"0: none; the average over targets, {numbers}. {ALL.capitalize()}: those of all methods of a seed "
        f"together ({counts.get(ALL, 0)}); {WITHIN}: of each run by itself ({counts.get(WITHIN, 0)}). "
        f"{SIGNS} Undefined, and left out: rankings of equal numbers or of fewer than {MIN_CHECKPOINTS} "
        "checkpoints."
    )


def check_one_data_set(ranking: pd.DataFrame) -> None:
    """Refuse what cannot be one table or figure.

    Raises:
        ValueError: no rows, or those of several data sets.
    """
    if (found := ranking["data"].nunique()) != 1:
        raise ValueError(f"ranking: rows of {found} data sets; give those of one at a time.")


def _grid(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(row: Any, name: str) -> str:
    if row is None or pd.isna(mean := getattr(row, f"{name}_mean")):
        return "–"
    std = getattr(row, f"{name}_std")
    return _signed(mean) if pd.isna(std) else f"{_signed(mean)} ± {std:.2f}"


def _signed(number: float) -> str:
    return f"{round(number, 2) + 0.0:.2f}".replace("-", "−")


def _undefined(row: Any) -> str:
    return "–" if row is None else f"{row.n_undefined} of {row.n_rankings}"
