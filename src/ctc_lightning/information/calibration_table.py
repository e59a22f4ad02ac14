"""calibration.md: bias and spread of every estimator, up to where to trust each, and what was refused."""

from math import nan
from typing import Any

import pandas as pd

from ctc_lightning.information.bias import NONE, POINT, REFUSED, TRUSTED_NATS, TRUSTED_SHARE, trusted
from ctc_lightning.information.estimator_style import in_order, label

_TRUSTED = (
    "**Up to which information each can be trusted**: the largest of those tried where the held-out estimate "
    f"is off by at most {TRUSTED_NATS:g} nats or {TRUSTED_SHARE:.0%} of the truth (root mean square over "
    f"seeds), and so for all smaller ones. {NONE}: not even for the smallest."
)
_BIAS = (
    "**Held-out estimate − truth**, mean ± standard deviation over seeds. ⌈: in some seed within 5 % of the "
    "ceiling that the number of pairs sets, so that the estimate is the ceiling's and not the distribution's."
)
_GAP = (
    "**Estimate on the fitted pairs − held-out estimate**, the largest over the informations tried: what "
    "would be added by not holding out."
)
_UPPER = "**Upper bound − truth**, mean over seeds, of estimators that have one beside the estimate."


def calibration_table(bias: pd.DataFrame, num_train: int, num_held_out: int) -> str:
    """Everything in Markdown.

    Args:
        bias: as of `bias_table`.
        num_train: pairs of every fit.
        num_held_out: pairs of every held-out estimate.
    """
    estimators = in_order(bias["estimator"])
    seeds = bias["n"] + bias["n_refused"]
    fewest = f"{seeds.min()} to " if seeds.min() < seeds.max() else ""
    intro = (
        f"Fitted on {num_train} pairs, judged on {num_held_out} others, {fewest}{seeds.max()} "
        f"seed{'s' * int(seeds.max() > 1)}; in "
        "nats. Written by `python -m ctc_lightning.information calibrate`; numbers: `calibration.csv`, each "
        "estimate: `cells.csv`."
    )
    up_to = trusted(bias)
    points = [
        [name, str(dims), *row] for (name, dims), row in zip(up_to.index, up_to.to_numpy(), strict=True)
    ]
    parts = [
        "# Calibration: estimators of mutual information where it is known",
        intro,
        "![Estimate against truth](calibration.png)",
        _TRUSTED,
        _grid(["distribution", "dims", *map(label, estimators)], points),
        _BIAS,
        _details(bias, estimators),
        _GAP,
        _gaps(bias, estimators),
        *_uppers(bias, estimators),
        *_refusals(bias),
        _above(bias),
    ]
    return "\n\n".join(parts) + "\n"


def _details(bias: pd.DataFrame, estimators: list[str]) -> str:
    cell = {(row.distribution, row.dims, row.information, row.estimator): _bias(row) for row in _tuples(bias)}
    points = bias[POINT].drop_duplicates().itertuples(index=False, name=None)
    rows = [
        [
            name,
            str(dims),
            f"{information:g}",
            *(cell.get((name, dims, information, e), NONE) for e in estimators),
        ]
        for name, dims, information in points
    ]
    return _grid(["distribution", "dims", "truth", *map(label, estimators)], rows)


def _bias(row: Any) -> str:
    if not row.n:
        return REFUSED
    spread = "" if pd.isna(row.bias_std) else f" ± {row.bias_std:.2f}"
    return f"{signed(row.bias_mean)}{spread}{' ⌈' if row.near_ceiling else ''}"


def _gaps(bias: pd.DataFrame, estimators: list[str]) -> str:
    gap = bias.assign(gap=bias["train_bias_mean"] - bias["bias_mean"])
    learning = [e for e in estimators if gap.loc[gap["estimator"] == e, "gap"].notna().any()]
    largest = gap.groupby(["distribution", "dims", "estimator"], sort=False)["gap"].max()
    points = bias[["distribution", "dims"]].drop_duplicates().itertuples(index=False, name=None)
    rows = [
        [name, str(dims), *(signed(largest.get((name, dims, e), nan)) for e in learning)]
        for name, dims in points
    ]
    return _grid(["distribution", "dims", *map(label, learning)], rows)


def _uppers(bias: pd.DataFrame, estimators: list[str]) -> list[str]:
    """Upper bounds, where there are any."""
    given = bias[bias["upper_bias_mean"].notna()]
    named = [e for e in estimators if e in set(given["estimator"])]
    of = given.set_index([*POINT, "estimator"])["upper_bias_mean"]
    rows = [
        [
            name,
            str(dims),
            f"{information:g}",
            *(signed(of.get((name, dims, information, e), nan)) for e in named),
        ]
        for name, dims, information in given[POINT].drop_duplicates().itertuples(index=False, name=None)
    ]
    return [_UPPER, _grid(["distribution", "dims", "truth", *map(label, named)], rows)] if rows else []


def _refusals(bias: pd.DataFrame) -> list[str]:
    """By estimator and reason, the numbers in it left aside."""
    refused = bias[bias["n_refused"] > 0]
    kind = refused["reason"].str.replace(r"\d+", "#", regex=True)
    lines = []
    for _, of in refused.groupby(["estimator", kind], sort=False):
        dims = of.groupby("distribution", sort=False)["dims"].unique()
        where = "; ".join(f"{name} ({', '.join(map(str, sorted(d)))} dims)" for name, d in dims.items())
        lines.append(f"- {label(of['estimator'].iloc[0])} on {where}: “{of['reason'].iloc[0]}”")
    title = "**Refused**, in the estimator's own words, with the numbers of the first case:"
    return [title, "\n".join(lines)] if lines else []


def _above(bias: pd.DataFrame) -> str:
    """What should not be: the mean of a lower bound clearly above the truth."""
    error = (bias["bias_std"] ** 2 / bias["n"] + bias["standard_error"] ** 2) ** 0.5
    bounds = bias["is_lower_bound"] & (bias["n"] > 0)
    above = bias[bounds & (bias["bias_mean"] > 3 * error)].sort_values("bias_mean", ascending=False)
    named = "; ".join(
        f"{label(row.estimator)} on {row.distribution}, {row.dims} dims, {row.information:g} nats: "
        f"{_bias(row)}"
        for row in _tuples(above.head(5))
    )
    return (
        "**Lower bounds above the truth** by more than 3 standard errors of the mean over seeds, which few "
        f"seeds tell only roughly: {len(above)} of {int(bounds.sum())}"
        f"{', the largest: ' * bool(named)}{named}."
    )


def signed(number: float) -> str:
    """``+0.12``, ``−0.12``; nothing known: a dash."""
    return NONE if pd.isna(number) else f"{round(number, 2) + 0.0:+.2f}".replace("-", "−")


def _tuples(frame: pd.DataFrame) -> Any:
    return frame.itertuples(index=False)


def _grid(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
