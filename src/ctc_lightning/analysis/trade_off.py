"""The trade-off in numbers: each run's peak, end and drop, and what early stopping would give."""

import logging
from itertools import product
from operator import itemgetter

import pandas as pd

from ctc_lightning.analysis.methods import is_baseline

log = logging.getLogger(__name__)

SOURCE = "source"
CLASSIFIER = "classifier"
HEADLINE = "whitened"
PROTOCOLS = (HEADLINE, "standardised", "knn")

RUN = ["data", "method", "seed"]
CURVE = [*RUN, "protocol", "target"]


def comparable(frame: pd.DataFrame) -> pd.DataFrame:
    """The runs that belong in one table: probed, one for each seed, as long as the longest of their method.

    Left out, with a logged warning: a run that lacks the test or validation accuracy of its source or of
    the headline probe, and one that ended (or still is) before the longest run of its data set and method,
    since a mean over different ends would be nobody's final accuracy.

    Raises:
        ValueError: no run is left, or two of them share data set, method and seed.
    """
    frame = _left_out(frame, ~frame["path"].isin(_probed(frame)), "lacks source or whitened accuracies")
    longest = frame.groupby(["data", "method"])["epoch"].transform("max")
    ends = frame.groupby("path")["epoch"].transform("max")
    frame = _left_out(frame, ends < longest, "ends before the longest run of its method")
    _check_one_run_per_seed(frame)
    return frame


def curves(frame: pd.DataFrame) -> pd.DataFrame:
    """Test and validation accuracy side by side: data, method, seed, protocol, target, epoch, top1, val_top1.

    The source is measured by the network's own classifier, a transfer target by the probes. Rows go by
    epoch; fractions in [0, 1]. An epoch with only one of the two accuracies is not there.
    """
    _check_one_run_per_seed(frame)
    frame = frame[(frame["protocol"] == CLASSIFIER) == (frame["target"] == SOURCE)]
    keys = [*CURVE, "epoch"]
    test, validation = (
        frame.loc[frame["metric"] == metric, [*keys, "value"]].rename(columns={"value": metric})
        for metric in ("top1", "val_top1")
    )
    return test.merge(validation, on=keys).sort_values("epoch", kind="stable", ignore_index=True)


def trade_off(frame: pd.DataFrame) -> pd.DataFrame:
    """Peak, final and drop of every data set, method, seed, protocol and target.

        peak  = test accuracy at e*,  e* = first epoch with the best validation accuracy
        final = test accuracy at the last epoch
        drop  = peak − final

    Returns:
        Columns data, method, seed, protocol, target, peak, peak_epoch, final, epoch (the last), drop;
        fractions in [0, 1], drop in [−1, 1].
    """
    measured = curves(frame)
    of_one_curve = measured.groupby(CURVE, sort=False)
    peak = measured.loc[of_one_curve["val_top1"].idxmax()].set_index(CURVE)
    last = measured.loc[of_one_curve["epoch"].idxmax()].set_index(CURVE)
    return pd.DataFrame(
        {
            "peak": peak["top1"],
            "peak_epoch": peak["epoch"],
            "final": last["top1"],
            "epoch": last["epoch"],
            "drop": peak["top1"] - last["top1"],
        }
    ).reset_index()


def early_stopping(frame: pd.DataFrame, protocol: str = HEADLINE) -> pd.DataFrame:
    """What each run would give, had it stopped where its targets' mean *validation* accuracy is best.

        e* = first argmax_e mean_t val_top1(e, t)

    One epoch for all targets, chosen without the test split; but with the targets' validation labels, so
    it is a generous baseline. Only epochs at which every target was probed take part.

    Returns:
        Columns data, method, seed, protocol, target, epoch (e*), final (test accuracy there): the source
        and every target, all under the given protocol's name.
    """
    measured = curves(frame)
    probes = measured[measured["protocol"] == protocol]
    mean = probes.groupby([*RUN, "epoch"])["val_top1"].agg(["mean", "size"])
    complete = mean["size"] == mean.groupby(RUN)["size"].transform("max")
    best = mean.loc[complete, "mean"].groupby(RUN).idxmax()  # (data, method, seed, epoch)
    stop = best.map(itemgetter(-1)).rename("stop")
    measured = measured[measured["protocol"].isin([protocol, CLASSIFIER])].join(stop, on=RUN)
    stopped = measured[measured["epoch"] == measured["stop"]].assign(protocol=protocol)
    return stopped[[*CURVE, "epoch", "top1"]].rename(columns={"top1": "final"}).reset_index(drop=True)


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread over seeds: the numbers of every table, the verdict and trade_off.csv.

    Returns:
        One row for each data set, method, `stopped` ("at the end" or, for cross-entropy, "early"), protocol
        and target: n (seeds), first_epoch and last_epoch (where the seeds stopped), then mean and std
        (sample std, ddof = 1; NaN for one seed) of peak, final and drop as ``peak_mean`` … ``drop_std``,
        fractions. Peak and drop are NaN where stopped early.
    """
    protocols = [protocol for protocol in PROTOCOLS if (frame["protocol"] == protocol).any()]
    early = [early_stopping(frame, protocol) for protocol in protocols]
    early = [stopped[stopped["method"].map(is_baseline)] for stopped in early]
    ends = [
        trade_off(frame).assign(stopped="at the end"),
        *(stopped.assign(stopped="early") for stopped in early),
    ]
    statistics = {
        f"{number}_{statistic}": (number, statistic)
        for number in ("peak", "final", "drop")
        for statistic in ("mean", "std")
    }
    return (
        pd.concat(ends)
        .groupby(["data", "method", "stopped", "protocol", "target"], sort=False)
        .agg(n=("seed", "nunique"), first_epoch=("epoch", "min"), last_epoch=("epoch", "max"), **statistics)
        .reset_index()
    )


def _probed(frame: pd.DataFrame) -> set[str]:
    by_path = frame.groupby(["protocol", "metric"])["path"].unique()
    needed = product((CLASSIFIER, HEADLINE), ("top1", "val_top1"))
    return set.intersection(*(set(by_path.get(pair, [])) for pair in needed))


def _left_out(frame: pd.DataFrame, out: pd.Series, reason: str) -> pd.DataFrame:
    """The frame without the marked rows, each of their runs named in a warning."""
    paths = frame.loc[out, "path"].unique()
    if out.all():
        raise ValueError(f"no run to compare: {paths[0]} {reason}")
    for path in paths:
        log.warning("left out: %s %s", path, reason)
    return frame[~out]


def _check_one_run_per_seed(frame: pd.DataFrame) -> None:
    runs = frame.drop_duplicates("path")
    if runs.duplicated(RUN).any():
        one, other, *_ = runs[runs.duplicated(RUN, keep=False)].sort_values(RUN).itertuples()
        raise ValueError(
            f"two runs of {one.method} on {one.data} have seed {one.seed}, {one.path} and {other.path}: "
            "give only one of them, and the variants of a sweep one at a time"
        )
