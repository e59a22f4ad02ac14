"""The trade-off in numbers: each run's peak, end and drop, and what early stopping would give."""

from operator import itemgetter

import pandas as pd

from ctc_lightning.analysis.frames.methods import is_baseline

SOURCE = "source"
CLASSIFIER = "classifier"
HEADLINE = "whitened"
HEADLINES = (HEADLINE, "logreg")
PROTOCOLS = (*HEADLINES, "standardised", "knn", "probe_bn", "reference", "finetune")

RUN = ["data", "method", "seed"]
CURVE = [*RUN, "protocol", "target"]
VALIDATION = "val_"
HARDLY = 0.1  # of what training gains on the source


def protocols_of(frame: pd.DataFrame) -> list[str]:
    """The protocols that measured a target on test and validation: the headline, then as in `PROTOCOLS`."""
    found = list(dict.fromkeys(frame.loc[measured_targets(frame), "protocol"]))
    return sorted(found, key=lambda p: PROTOCOLS.index(p) if p in PROTOCOLS else len(PROTOCOLS))


def headline(frame: pd.DataFrame) -> str:
    """The protocol that figures and verdict go by: whitened, else logreg, else the first there is.

    Raises:
        ValueError: no target was measured.
    """
    protocols = protocols_of(frame)
    if not protocols:
        raise ValueError(
            "no target was measured: run `python -m ctc_lightning.transfer run=RUN_DIR target=…`"
        )
    return (
        protocols[0] if protocols[0] in HEADLINES else frame.loc[measured_targets(frame), "protocol"].iloc[0]
    )


def shown_protocols(frame: pd.DataFrame) -> list[str]:
    """The headline, and each further protocol with a target that none before it measured: they get figures.

    A run probed while training and evaluated on other targets afterwards, say by whitened and by logreg.
    """
    targets = frame.loc[measured_targets(frame), ["protocol", "target"]].drop_duplicates()
    shown, seen = [], set[str]()
    for protocol in dict.fromkeys([headline(frame), *protocols_of(frame)]):
        new = set(targets.loc[targets["protocol"] == protocol, "target"]) - seen
        if new:
            shown.append(protocol)
            seen |= new
    return shown


def measured_targets(frame: pd.DataFrame) -> pd.Series:
    """Marks the validation accuracies of targets: a target's own metric is the one that has such a row."""
    return frame["metric"].str.startswith(VALIDATION) & (frame["target"] != SOURCE)


def curves(frame: pd.DataFrame) -> pd.DataFrame:
    """Test and validation accuracy side by side, by the metric that is the target's own.

    The source is measured by the network's own classifier, a transfer target by the probes. An epoch with
    only one of the two accuracies is not there.

    Returns:
        Columns data, method, seed, protocol, target, metric, epoch, test, low, high, n, val, n_val, plain;
        rows go by epoch; fractions in [0, 1].
    """
    check_one_run_per_seed(frame)
    frame = frame[(frame["protocol"] == CLASSIFIER) == (frame["target"] == SOURCE)]
    on_val = frame["metric"].str.startswith(VALIDATION)
    keys = [*CURVE, "metric", "epoch"]
    test = frame.loc[~on_val, [*keys, "value", "low", "high", "n", "plain"]].rename(columns={"value": "test"})
    val = frame.loc[on_val, [*keys, "value", "n"]].rename(columns={"value": "val", "n": "n_val"})
    val["metric"] = val["metric"].str.removeprefix(VALIDATION)
    both = test.merge(val, on=keys)
    of_target = ["data", "protocol", "target"]
    common = (
        both.groupby([*of_target, "metric"]).size().sort_values(ascending=False, kind="stable").reset_index()
    )
    own = common.drop_duplicates(of_target)[[*of_target, "metric"]]
    return both.merge(own).sort_values("epoch", kind="stable", ignore_index=True)


def trade_off(frame: pd.DataFrame) -> pd.DataFrame:
    """Peak, final and drop of every data set, method, seed, protocol and target.

        peak  = test accuracy at e*,  e* = first epoch with the best validation accuracy
        final = test accuracy at the last epoch
        drop  = peak − final
        start = test accuracy at the first epoch

    Returns:
        Columns data, method, seed, protocol, target, metric, plain, peak, peak_epoch, final, low and high (of
        final's 95 % interval), epoch (the last), drop, start; fractions in [0, 1], drop in [−1, 1]. A plain
        backbone has no peak and no drop.
    """
    return ends(curves(frame))


def ends(measured: pd.DataFrame) -> pd.DataFrame:
    """`trade_off` of curves, of which `test` and `val` may be in any unit that is better when higher."""
    of_one_curve = measured.groupby(CURVE, sort=False)
    peak = measured.loc[of_one_curve["val"].idxmax()].set_index(CURVE)
    last = measured.loc[of_one_curve["epoch"].idxmax()].set_index(CURVE)
    best = peak["test"].mask(peak["plain"])
    return pd.DataFrame(
        {
            "metric": last["metric"],
            "plain": last["plain"],
            "peak": best,
            "peak_epoch": peak["epoch"],
            "final": last["test"],
            "low": last["low"],
            "high": last["high"],
            "epoch": last["epoch"],
            "drop": best - last["test"],
            "start": _start(measured),
        }
    ).reset_index()


def _start(measured: pd.DataFrame) -> pd.Series:
    return measured.loc[measured.groupby(CURVE, sort=False)["epoch"].idxmin()].set_index(CURVE)["test"]


def early_stopping(frame: pd.DataFrame, protocol: str | None = None) -> pd.DataFrame:
    """What each run would give, had it stopped where its targets' mean *validation* accuracy is best.

        e* = first argmax_e mean_t val(e, t)

    One epoch for all targets, chosen without the test split; but with the targets' validation labels, so
    it is a generous baseline. Only epochs at which every target was probed take part.

    Args:
        frame: comparable runs.
        protocol: the probe; None: the headline.

    Returns:
        Columns data, method, seed, protocol, target, metric, epoch (e*), final (test accuracy there), start
        (at the first epoch), plain: the source (where it was measured at that epoch) and every target, under
        the given protocol's name.
    """
    return _stopped(curves(frame), protocol or headline(frame))


def _stopped(measured: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """`early_stopping` of curves."""
    probes = measured[measured["protocol"] == protocol]
    mean = probes.groupby([*RUN, "epoch"])["val"].agg(["mean", "size"])
    complete = mean["size"] == mean.groupby(RUN)["size"].transform("max")
    best = mean.loc[complete, "mean"].groupby(RUN).idxmax()  # (data, method, seed, epoch)
    stop = best.map(itemgetter(-1)).rename("stop")
    measured = measured[measured["protocol"].isin([protocol, CLASSIFIER])].join(stop, on=RUN)
    measured = measured.join(_start(measured).rename("start"), on=CURVE)
    stopped = measured[measured["epoch"] == measured["stop"]].assign(protocol=protocol)
    columns = [*CURVE, "metric", "epoch", "test", "start", "plain"]
    return stopped[columns].rename(columns={"test": "final"}).reset_index(drop=True)


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread over seeds: the numbers of every table, the verdict and trade_off.csv.

    Returns:
        One row for each data set, method, `stopped` ("at the end" or, for cross-entropy, "early"), protocol
        and target: see `over_seeds`. Peak and drop are NaN where stopped early.
    """
    measured = curves(frame)
    early = [_stopped(measured, protocol) for protocol in protocols_of(frame)]
    early = [stopped[stopped["method"].map(is_baseline) & ~stopped["plain"]] for stopped in early]
    at_the_end = ends(measured).assign(stopped="at the end")
    return over_seeds(pd.concat([at_the_end, *(stopped.assign(stopped="early") for stopped in early)]))


def before_learning(numbers: pd.DataFrame) -> list[str]:
    """The methods that early stopping ends before they have learnt a tenth of their source task.

    Their transfer there is that of an almost untrained network, which says little about the method.

    Args:
        numbers: of `summary`, of one data set and of any protocols.
    """
    source = numbers[numbers["target"] == SOURCE]
    end = source[source["stopped"] == "at the end"].set_index("method")["final_mean"]
    early = source[source["stopped"] == "early"].join(end.rename("end"), on="method")
    gained = early["final_mean"] - early["start_mean"]
    return early.loc[gained < HARDLY * (early["end"] - early["start_mean"]), "method"].unique().tolist()


def over_seeds(numbers: pd.DataFrame) -> pd.DataFrame:
    """Mean and sample standard deviation (ddof = 1; NaN for one seed) of the seeds.

    Args:
        numbers: of `ends`, with a column `stopped`.

    Returns:
        Columns data, method, stopped, protocol, target, metric, plain, n (seeds), first_epoch and last_epoch
        (where the seeds stopped), ``peak_mean``, ``peak_std``, likewise final and drop, then ``start_mean``,
        final_low and final_high: of one seed, the 95 % interval over the test images; NaN for several.
    """
    statistics = {
        f"{number}_{statistic}": (number, statistic)
        for number in ("peak", "final", "drop")
        for statistic in ("mean", "std")
    }
    intervals = {"final_low": ("low", "mean"), "final_high": ("high", "mean")}
    table = (
        numbers.groupby(["data", "method", "stopped", "protocol", "target", "metric", "plain"], sort=False)
        .agg(
            n=("seed", "nunique"),
            first_epoch=("epoch", "min"),
            last_epoch=("epoch", "max"),
            **statistics,
            start_mean=("start", "mean"),
            **intervals,
        )
        .reset_index()
    )
    table[[*intervals]] = table[[*intervals]].mask(table["n"] > 1)
    return table


def check_one_run_per_seed(frame: pd.DataFrame) -> None:
    """Refuse two runs of one data set, method and seed: a mean over seeds would count one of them twice.

    Raises:
        ValueError: there are.
    """
    runs = frame.drop_duplicates("path")
    if runs.duplicated(RUN).any():
        one, other, *_ = runs[runs.duplicated(RUN, keep=False)].sort_values(RUN).itertuples()
        raise ValueError(
            f"two runs of {one.method} on {one.data} have seed {one.seed}, {one.path} and {other.path}: "
            "give only one of them, or pass both through ctc_lightning.analysis.frames.comparable"
        )
