"""Bias, spread and trusted range of estimators: calibration.csv, calibration.md, calibration.png."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctc_lightning.analysis.figures.style import save
from ctc_lightning.files.atomic_write import write_text

POINT = ["distribution", "dims", "information"]
TRUSTED_NATS, TRUSTED_SHARE = 0.1, 0.1  # of the truth: a larger error is not trusted
NEAR_CEILING = 0.95
NONE, REFUSED = "–", "refused"
# Okabe & Ito's palette, with wine (Tol) for their yellow; markers for print in grey
STYLE = {
    "gaussian": ("Gaussian", "#000000", "o"),
    "ksg": ("KSG", "#56B4E9", "s"),
    "mine": ("MINE", "#D55E00", "^"),
    "nwj": ("NWJ", "#E69F00", "D"),
    "smile": ("SMILE", "#009E73", "v"),
    "info_nce": ("InfoNCE", "#0072B2", "P"),
    "noisy_channel": ("noisy channel", "#882255", "X"),
    "classifier": ("classifier", "#CC79A7", "p"),
}


def write_report(cells: pd.DataFrame, output: Path, num_train: int, num_held_out: int) -> None:
    """Write the tables and the figure of finished cells."""
    bias = bias_table(cells)
    write_text(output / "calibration.csv", bias.to_csv(index=False))
    write_text(output / "calibration.md", markdown(bias, num_train, num_held_out))
    save(draw(bias), output / "calibration")


def bias_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Statistics over seeds.

    Args:
        cells: one row per estimate, as of `calibrate.calibrate`.

    Returns:
        One row per (distribution, dims, information, estimator): mean value, mean and standard deviation of
        its bias, error (root mean square), mean bias on the fitted pairs and of the upper bound, lowest
        ceiling, near_ceiling (share of estimates within 5 % of their own), number of seeds with an estimate
        (n) and without (n_refused), the reason of a refusal, mean seconds.
    """
    given = cells[cells["note"] == ""]
    bias = given["value"] - given["information"]
    given = given.assign(
        bias=bias,
        square=bias**2,
        train_bias=given["train"] - given["information"],
        upper_bias=given["upper"] - given["information"],
        near_ceiling=given["value"] > NEAR_CEILING * given["ceiling"],
    )
    keys = [*POINT, "estimator"]
    of_given = given.groupby(keys, sort=False).agg(
        value_mean=("value", "mean"),
        bias_mean=("bias", "mean"),
        bias_std=("bias", "std"),
        error=("square", "mean"),
        train_bias_mean=("train_bias", "mean"),
        upper_bias_mean=("upper_bias", "mean"),
        ceiling=("ceiling", "min"),
        near_ceiling=("near_ceiling", "mean"),
        n=("value", "size"),
    )
    of_all = cells.groupby(keys, sort=False).agg(
        standard_error=("standard_error", "max"),
        is_lower_bound=("is_lower_bound", "all"),
        n_refused=("note", lambda notes: (notes != "").sum()),
        reason=("note", "max"),
        seconds=("seconds", "mean"),
    )
    table = of_all.join(of_given).fillna({"n": 0}).reset_index()
    return table.assign(
        error=table["error"] ** 0.5,
        n=table["n"].astype(int),
        estimator=pd.Categorical(table["estimator"], in_order(table["estimator"])),
    )


def in_order(estimators: pd.Series) -> list[str]:
    """The distinct ones: those with a style first, the others by name."""
    return [*(e for e in STYLE if e in set(estimators)), *sorted({*estimators} - {*STYLE})]


def trusted(bias: pd.DataFrame) -> pd.DataFrame:
    """The largest information up to which every error is at most 0.1 nats or 10 % of the truth, as text.

    Returns:
        One row per (distribution, dims), one column per estimator.
    """
    limit = (TRUSTED_SHARE * bias["information"]).clip(lower=TRUSTED_NATS)
    rows = bias.assign(good=bias["error"] <= limit).sort_values("information", kind="stable")

    def up_to(of: pd.DataFrame) -> str:
        passed = of.loc[of["good"].cummin(), "information"]
        return REFUSED if not of["n"].any() else NONE if passed.empty else f"{passed.max():g}"

    keys = ["distribution", "dims", "estimator"]
    return pivot(
        rows.groupby(keys, sort=False, observed=True)[["n", "good", "information"]].apply(up_to), bias
    )


def pivot(cell: pd.Series, bias: pd.DataFrame) -> pd.DataFrame:
    """Estimators become columns; rows in the order of ``bias``; what is missing is a dash."""
    wide = cell.unstack("estimator")
    rows = bias[list(wide.index.names)].drop_duplicates()
    columns = [name for name in bias["estimator"].cat.categories if name in wide]
    return wide.reindex(pd.MultiIndex.from_frame(rows))[columns].fillna(NONE)


def markdown(bias: pd.DataFrame, num_train: int, num_held_out: int) -> str:
    """All tables, each with its caption."""
    seeds = sorted({*(bias["n"] + bias["n_refused"])})
    cell = bias.set_index([*POINT, "estimator"])
    upper = cell["upper_bias_mean"].dropna().map(signed)
    levels = ["distribution", "dims", "estimator"]
    gap = (cell["train_bias_mean"] - cell["bias_mean"]).groupby(levels, sort=False, observed=True).max()
    return f"""# Calibration: estimators of mutual information where it is known

Fitted on {num_train} pairs, evaluated on {num_held_out} others; seeds: {" to ".join(map(str, seeds))}.
In nats. Written by `make calibrate` (`benchmarks/calibration`). Data: `calibration.csv`; every estimate:
`cells.csv`.

![Estimate against truth](calibration.png)

**Largest information at which to trust an estimate**: up to there the root mean square error over seeds is
at most {TRUSTED_NATS:g} nats or {TRUSTED_SHARE:.0%} of the truth, at every information tried. {NONE}: not
even at the smallest.

{grid(trusted(bias))}

**Held-out estimate − truth**, mean ± standard deviation over seeds. ⌈: for at least one seed within 5 % of
the largest value that the number of pairs allows, so that the estimate says little about the distribution.

{grid(pivot(cell.apply(bias_text, axis=1), bias))}

**Estimate on the fitted pairs − held-out estimate**, the largest over the informations tried: the optimism of
an estimate that is not held out.

{grid(pivot(gap.dropna().map(signed), bias))}

**Upper bound − truth**, mean over seeds, for estimators that also give an upper bound.

{grid(pivot(upper, bias[bias["upper_bias_mean"].notna()]))}

**Refused**, with the estimator's message in the first case:

{refusals(bias)}

**Lower bounds above the truth** by more than 3 standard errors of the mean over seeds:
{lower_bounds_above(bias)}
"""


def grid(frame: pd.DataFrame) -> str:
    """A table of texts in Markdown, with its index as first columns."""
    head = [{"information": "truth"}.get(name, name) for name in frame.index.names]
    head += [label(name) for name in frame]
    rows = [[f"{key:g}" if isinstance(key, float) else str(key) for key in index] for index in frame.index]
    lines = [
        head,
        ["---"] * len(head),
        *([*row, *of] for row, of in zip(rows, frame.to_numpy(), strict=True)),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def label(estimator: str) -> str:
    """The readable name."""
    return STYLE[estimator][0] if estimator in STYLE else estimator


def bias_text(row: pd.Series) -> str:
    """``+0.12 ± 0.03 ⌈``, or that it was refused."""
    if not row["n"]:
        return REFUSED
    spread = "" if pd.isna(row["bias_std"]) else f" ± {row['bias_std']:.2f}"
    return f"{signed(row['bias_mean'])}{spread}{' ⌈' * (row['near_ceiling'] > 0)}"


def signed(number: float) -> str:
    """``+0.12``, ``−0.12``; never ``−0.00``."""
    return f"{round(number, 2) + 0.0:+.2f}".replace("-", "−")


def refusals(bias: pd.DataFrame) -> str:
    """A line for each estimator and reason, with the distributions it concerns."""
    refused = bias[bias["n_refused"] > 0]
    kind = refused["reason"].str.replace(r"\d+", "#", regex=True)
    lines = []
    for (estimator, _), of in refused.groupby(["estimator", kind], sort=False, observed=True):
        dims = of.groupby("distribution", sort=False)["dims"].unique()
        where = "; ".join(f"{name} ({', '.join(map(str, sorted(d)))} dims)" for name, d in dims.items())
        lines.append(f"- {label(estimator)} on {where}: “{of['reason'].iloc[0]}”")
    return "\n".join(lines) or NONE


def lower_bounds_above(bias: pd.DataFrame) -> str:
    """How many means of lower bounds are clearly above the truth, and the largest: there should be none."""
    error = (bias["bias_std"] ** 2 / bias["n"] + bias["standard_error"] ** 2) ** 0.5
    bounds = bias["is_lower_bound"] & (bias["n"] > 0)
    above = bias[bounds & (bias["bias_mean"] > 3 * error)].sort_values("bias_mean", ascending=False)
    named = [
        f"{label(row['estimator'])} on {row['distribution']}, {row['dims']} dims, {row['information']:g} nats"
        f" ({bias_text(row)})"
        for _, row in above.head(5).iterrows()
    ]
    return f"{len(above)} of {int(bounds.sum())}{': ' * bool(named)}{'; '.join(named)}."


def draw(bias: pd.DataFrame) -> Figure:
    """Mean held-out estimate ± standard deviation against the truth, one panel per distribution and dims.

    Dotted: upper bounds. Dashed: the lowest finite ceiling. An arrowhead at an edge: an estimate beyond it.
    """
    names = list(bias["distribution"].unique())
    panels = {(name, dims): of for (name, dims), of in bias.groupby(["distribution", "dims"], sort=False)}
    dims_of = {name: sorted(dims for n, dims in panels if n == name) for name in names}
    num_rows = max(map(len, dims_of.values()))
    figure = Figure(figsize=(max(2.9 * len(names), 6.5), 2.7 * num_rows + 1), layout="constrained")
    axes = figure.subplots(num_rows, len(names), squeeze=False)
    handles = {}
    for column, name in enumerate(names):
        for row in range(num_rows):
            if row >= len(dims_of[name]):
                axes[row, column].remove()
                continue
            handles |= draw_panel(axes[row, column], panels[name, dims_of[name][row]])
            axes[row, column].set_title(f"{name.replace('_', ' ')}, {dims_of[name][row]} dims", fontsize=10)
        axes[len(dims_of[name]) - 1, column].set_xlabel("truth (nats)")
        axes[0, 0].set_ylabel("held-out estimate (nats)")
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=4, frameon=False)
    return figure


def draw_panel(axes: Axes, bias: pd.DataFrame) -> dict[str, object]:
    """One panel; returns its legend entries."""
    most = bias["information"].max()
    low, high = -0.08 * most, 1.2 * most
    handles = {}
    for name in bias["estimator"].cat.categories:
        of = bias[(bias["estimator"] == name) & (bias["n"] > 0)].sort_values("information")
        if of.empty:
            continue
        _, colour, marker = STYLE.get(name, (name, "#777777", "."))
        truth, mean = of["information"], of["value_mean"]
        handles[label(name)] = axes.errorbar(
            truth,
            mean,
            of["bias_std"].fillna(0),
            color=colour,
            lw=1.4,
            marker=marker,
            ms=4.5,
            mec="w",
            mew=0.4,
        )
        if of["upper_bias_mean"].notna().any():
            (dotted,) = axes.plot(truth, truth + of["upper_bias_mean"], color=colour, lw=1.4, ls=":")
            handles["upper bound"] = dotted
        for edge, beyond, head in ((low, mean < low, "v"), (high, mean > high, "^")):
            if beyond.any():
                edges = np.full(int(beyond.sum()), edge)
                axes.plot(truth[beyond], edges, head, color=colour, ms=7, clip_on=False, zorder=4)
    (handles["truth"],) = axes.plot([0, most], [0, most], color="#777777", lw=1.2, zorder=1)
    ceilings = bias.loc[np.isfinite(bias["ceiling"]), "ceiling"]
    if ceilings.min() < high:
        handles["lowest ceiling, log N"] = axes.axhline(
            ceilings.min(), color="#777777", lw=1, ls="--", zorder=1
        )
    axes.set(ylim=(low, high), xlim=(-0.03 * most, 1.05 * most))
    axes.grid(color="#E8E8E8")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return handles
