"""Whether information falls: from peak to end, and against cross-entropy, with intervals over seeds."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student_t

from ctc_lightning.analysis.frames.information import MEASURE, UNMEASURED, information_curves
from ctc_lightning.analysis.frames.information_flags import merged
from ctc_lightning.analysis.frames.methods import is_baseline, ordered

OF_METHOD = ["data", *MEASURE, "method", "plain"]


def information_summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Peak, end, the change between them, and the end against cross-entropy's, over seeds; in nats.

        e*_s     = first argmax_{e ≥ 1} mean_{s' ≠ s} I(s', e)
        change_s = I(s, end) − I(s, e*_s)
        difference = mean_s [I(s, end) − I_CE(s, end)],  s over the seeds of both

    A seed's peak is chosen on the other seeds: a maximum over noisy numbers is too high, and would make a
    fall of noise alone. Of level curves with independent noise at 8 epochs, 4, 5 and 6 % seem to fall with
    3, 5 and 10 seeds, against the 2.5 % of independent changes; from each seed's own maximum 21, 60 and
    100 % would. One seed has to choose for itself; it has no interval, so that no fall is claimed. Epochs
    count that were measured for all seeds of the method. Epoch 0 is no peak: random features can tell the
    images apart better than any trained ones, and the question is whether training forgets what it had.

    Args:
        runs: comparable runs.

    Returns:
        A row for each data set, quantity, estimator, x, noise, target and method (see `information_curves`),
        known methods first: n (seeds), first_peak and last_peak (epochs), end_epoch, peak_mean and peak_std
        (sample std, ddof = 1; NaN for one seed), likewise end and change; change_low and change_high, the
        95 % t-interval over seeds; upper_mean and train_mean at the end; against (the cross-entropy run of
        the comparison, "" for itself), pairs (seeds that both have), difference_mean, difference_low and
        difference_high (95 % t-interval of the paired difference); peak_note and end_note, the flags of all
        seeds. A plain backbone has no peak.

    Raises:
        ValueError: nothing was estimated.
    """
    return _over_seeds(_ends(information_curves(runs)))


def falls(row: Any) -> bool:
    """Whether the interval of the change lies below 0."""
    return bool(row.change_high < 0)


def _ends(measured: pd.DataFrame) -> pd.DataFrame:
    """Of each seed: peak, end and change, with upper, train and notes."""
    moment = measured.groupby([*OF_METHOD, "epoch"])["value"]
    num_seeds = measured.groupby(OF_METHOD)["seed"].transform("nunique")
    others = (moment.transform("sum") - measured["value"]) / (num_seeds - 1)
    shared = measured.assign(others=others.where(num_seeds > 1, measured["value"]))
    shared = shared[moment.transform("size") == num_seeds]
    if shared.empty:
        raise ValueError(UNMEASURED)
    run = [*OF_METHOD, "seed"]
    of_run = shared.groupby(run, sort=False)
    end = of_run.tail(1).set_index(run)
    untrained = (shared["epoch"] == 0) & (of_run["epoch"].transform("max") > 0)
    peak = shared.loc[shared[~untrained].groupby(run, sort=False)["others"].idxmax()].set_index(run)
    peak = peak.loc[end.index]
    plain = peak.index.get_level_values("plain").to_numpy(bool)
    best = peak["value"].mask(plain)
    return pd.DataFrame(
        {
            "end": end["value"],
            "end_epoch": end["epoch"],
            "end_note": end["note"],
            "upper": end["upper"],
            "train": end["train"],
            "peak": best,
            "peak_epoch": peak["epoch"],
            "peak_note": peak["note"].mask(plain, ""),
            "change": end["value"] - best,
        }
    ).reset_index()


def _over_seeds(ends: pd.DataFrame) -> pd.DataFrame:
    statistics = {
        f"{number}_{statistic}": (number, statistic)
        for number in ("peak", "end", "change")
        for statistic in ("mean", "std")
    }
    table = (
        ends.groupby(OF_METHOD, sort=False)
        .agg(
            n=("seed", "nunique"),
            first_peak=("peak_epoch", "min"),
            last_peak=("peak_epoch", "max"),
            end_epoch=("end_epoch", "max"),
            **statistics,
            upper_mean=("upper", "mean"),
            train_mean=("train", "mean"),
            peak_note=("peak_note", _joined),
            end_note=("end_note", _joined),
        )
        .reset_index()
    )
    low, high = _interval(table["change_mean"], table["change_std"], table["n"])
    table = table.assign(change_low=low, change_high=high)
    table = table.merge(_differences(ends), on=["data", *MEASURE, "method"], how="left")
    table = table.assign(against=table["against"].fillna(""), pairs=table["pairs"].fillna(0).astype(int))
    place = {method: i for i, method in enumerate(ordered(table["method"]))}
    return table.sort_values("method", kind="stable", ignore_index=True, key=lambda names: names.map(place))


def _differences(ends: pd.DataFrame) -> pd.DataFrame:
    """Of each method's end over that of the first cross-entropy run that was measured the same way."""
    measure = ["data", *MEASURE]
    trained = ends[~ends["plain"]]
    parts = []
    for _, of in trained.groupby(measure, sort=False):
        baselines = [method for method in ordered(of["method"]) if is_baseline(method)]
        if not baselines:
            continue
        base = of.loc[of["method"] == baselines[0], ["seed", "end"]].rename(columns={"end": "base"})
        both = of[of["method"] != baselines[0]].merge(base, on="seed")
        both = both.assign(difference=both["end"] - both["base"], against=baselines[0])
        parts.append(both)
    columns = [*measure, "method", "against", "pairs", "difference_mean", "difference_low", "difference_high"]
    if not parts:
        return trained.head(0).reindex(columns=columns).astype({"against": "str", "noise": float})
    of_method = pd.concat(parts).groupby([*measure, "method", "against"], sort=False)["difference"]
    table = of_method.agg(["mean", "std", "count"]).reset_index()
    low, high = _interval(table["mean"], table["std"], table["count"])
    table = table.rename(columns={"mean": "difference_mean", "count": "pairs"})
    return table.assign(difference_low=low, difference_high=high)[columns]


def _interval(mean: pd.Series, std: pd.Series, n: pd.Series) -> tuple[pd.Series, pd.Series]:
    """The 95 % t-interval, mean ∓ t_{0.975, n−1} · std/√n; NaN for n = 1."""
    half = student_t.ppf(0.975, np.maximum(n - 1, 1)) * std / np.sqrt(n)
    return mean - half, mean + half


def _joined(notes: pd.Series) -> str:
    return "; ".join(merged(notes))
