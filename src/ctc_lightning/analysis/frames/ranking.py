"""How well scores that need no training rank a study's checkpoints by what they measurably transfer."""

from math import nan

import pandas as pd
from scipy.stats import spearmanr, weightedtau

from ctc_lightning.analysis.frames.trade_off import CLASSIFIER, SOURCE

SCORE_PROTOCOLS = ("scores", "geometry")
TRANSFER_PROTOCOLS = ("whitened", "logreg")
SOURCE_ACCURACY, VALIDATION = "source accuracy", "validation accuracy"
SCOPES = ALL, WITHIN = "all checkpoints", "within a run"
MEAN = "mean"
MIN_CHECKPOINTS = 3  # two are always in one order or the other

# +1: the higher, the better transfer is expected to be; −1: the lower
DIRECTION = {
    "logme": 1,
    "h_score": 1,
    "n_leep": 1,
    "sfda": 1,
    "leep": 1,
    "nce": 1,
    # collapse onto the *target's* classes: what sets them apart (onto the source's it would be a loss)
    "nc1": -1,
    "nc2_equinorm": -1,
    "nc2_equiangular": -1,
    "nc2_maximal_angle": -1,
    "vci": -1,
    "alignment": -1,  # a distance of images of one class
    "uniformity": -1,  # the lower the more evenly spread
    "effective_rank": 1,
    "feature_norm": 1,  # larger norms transfer better: Xu et al. 2019, arXiv 1811.07456
    "feature_norm_variation": -1,  # 0: all features on one sphere
    "cka_first": 1,  # what is kept of the past is not compressed away
    "cka_previous": 1,
    SOURCE_ACCURACY: 1,
    VALIDATION: 1,
}

CHECKPOINT = ["data", "seed", "path", "epoch"]


def ranking(frame: pd.DataFrame, protocol: str | None = None) -> pd.DataFrame:
    """Rank correlation of every score with the measured transfer, for each target and on average.

    Measured transfer is the target's own metric on test: the metric m that the protocol also reports on
    validation, as ``val_m``. A score is turned round where lower should be better (`DIRECTION`; a name that
    is not there counts as higher = better), so that ρ = 1 means that it orders checkpoints as transfer does,
    0 that it knows nothing, −1 that it orders them the other way round.

    - Scope "all checkpoints": those of all runs of a data set and seed together, all methods and epochs.
      Which checkpoint of which method is best for this target.
    - Scope "within a run": of each run by itself, averaged over the runs of a seed. When to stop.

    Two more are treated as if they were scores: "source accuracy", what one knows without any target, and
    "validation accuracy" of the protocol itself, which takes the training that scores spare. The geometry
    of classes (nc1, nc2_*, vci, alignment) is of the test images and their labels, on which transfer is
    measured too: it may rank better than validation accuracy, as it describes rather than foretells.

    Args:
        frame: as of `ctc_lightning.analysis.load_runs`.
        protocol: that measures transfer; None: for each data set and target whitened, or logreg where it was
            not measured with whitened.

    Returns:
        Columns data, scope, score, target ("mean": each seed's mean over targets), spearman_mean,
        spearman_std, tau_w_mean, tau_w_std (over seeds; sample std, ddof = 1, NaN for one seed), n_seeds,
        n_checkpoints (of the smallest ranking), n_rankings, n_undefined: how many of the rankings have no
        correlation, for fewer than 3 checkpoints or because all scores or all transfers are equal; they are
        in no mean. Spearman's ρ and Kendall's τ_w as of `scipy.stats.weightedtau`, which weighs the order
        of the best most (Vigna 2015, arXiv 1404.3325). Best mean ρ first.

    Raises:
        ValueError: nothing was measured with the protocol, or no score was.
    """
    transfer = _measured_transfer(frame, protocol)
    pairs = _scores(frame, transfer).merge(
        transfer[[*CHECKPOINT, "target", "transfer"]], on=[*CHECKPOINT, "target"]
    )
    found = [
        _agreements(pairs, [*keys, "target", "score"]).assign(scope=scope)
        for scope, keys in ((ALL, ["data", "seed"]), (WITHIN, ["data", "seed", "path"]))
    ]
    rankings = pd.concat(found, ignore_index=True)
    of_seed = ["data", "scope", "score", "target", "seed"]
    seeds = rankings.groupby(of_seed, sort=False)[["spearman", "tau_w"]].mean().reset_index()
    mean = seeds.drop(columns="target").groupby([key for key in of_seed if key != "target"], sort=False)
    parts = [
        _over_seeds(mean.mean().reset_index().assign(target=MEAN), rankings.assign(target=MEAN)),
        _over_seeds(seeds, rankings),
    ]
    place = {name: i for i, name in enumerate([*SCOPES, MEAN, *pairs["target"].unique()])}
    return (
        pd.concat(parts)
        .sort_values("spearman_mean", ascending=False, kind="stable")
        .sort_values(
            ["data", "scope", "target"],
            kind="stable",
            key=lambda column: column.map(place) if column.name != "data" else column,
            ignore_index=True,
        )
    )


def _measured_transfer(frame: pd.DataFrame, protocol: str | None) -> pd.DataFrame:
    """CHECKPOINT, target, transfer (test) and validation, of each target's own metric."""
    asked = TRANSFER_PROTOCOLS if protocol is None else (protocol,)
    rows = frame[frame["protocol"].isin(asked) & (frame["target"] != SOURCE)]
    validation = rows[rows["metric"].str.startswith("val_")]
    validation = validation.assign(metric=validation["metric"].str.removeprefix("val_"))
    keys = [*CHECKPOINT, "target"]
    of = ["protocol", "metric"]
    both = rows.merge(validation[[*keys, *of, "value"]], on=[*keys, *of], suffixes=("", "_val"))
    both = both.rename(columns={"value": "transfer", "value_val": "validation"}).dropna(
        subset=["transfer", "validation"]
    )
    if both.empty:
        raise ValueError(
            f"ranking: no run has test and validation numbers of the protocol {' or '.join(asked)}, by which "
            f"transfer is measured; there are {', '.join(sorted(set(frame['protocol']))) or 'none'}."
        )
    preference = both["protocol"].map(asked.index)
    best = preference.groupby([both["data"], both["target"]]).transform("min")
    both = both[preference == best]
    if (twice := both.duplicated(keys)).any():
        row = both[twice].iloc[0]
        raise ValueError(
            f"ranking: {row['protocol']} reports several metrics of {row['target']} on validation, "
            f"{row['metric']} among them; choose a protocol that reports one."
        )
    return both[[*keys, "transfer", "validation"]]


def _scores(frame: pd.DataFrame, transfer: pd.DataFrame) -> pd.DataFrame:
    """CHECKPOINT, target, score, value (higher = expected to be better)."""
    rows = frame[frame["protocol"].isin(SCORE_PROTOCOLS) & (frame["metric"] != "failed")]
    if rows.empty:
        raise ValueError(
            "ranking: no run has numbers of the protocols scores or geometry; measure them, for example "
            "with python -m ctc_lightning.transfer."
        )
    columns = [*CHECKPOINT, "target", "score", "value"]
    measured = rows.rename(columns={"metric": "score"})[columns]
    source = frame[
        (frame["protocol"] == CLASSIFIER) & (frame["target"] == SOURCE) & (frame["metric"] == "top1")
    ]
    transfer = transfer[transfer["data"].isin(rows["data"])]
    keys = transfer[[*CHECKPOINT, "target"]]
    baseline = keys.merge(source[[*CHECKPOINT, "value"]], on=CHECKPOINT).assign(score=SOURCE_ACCURACY)
    ceiling = transfer.rename(columns={"validation": "value"}).assign(score=VALIDATION)
    every = pd.concat([measured, baseline[columns], ceiling[columns]]).dropna(subset="value")
    if transfer.empty:
        raise ValueError(
            "ranking: no data set has both transfer and scores; measure both on the same checkpoints and "
            "targets."
        )
    return every.assign(value=every["value"] * every["score"].map(DIRECTION).fillna(1))


def _agreements(pairs: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Of each group: keys, spearman, tau_w, n_checkpoints."""
    rows = [
        (*key, *_correlations(of["value"], of["transfer"]), len(of))
        for key, of in pairs.groupby(keys, sort=False)
    ]
    return pd.DataFrame(rows, columns=[*keys, "spearman", "tau_w", "n_checkpoints"])


def _correlations(x: pd.Series, y: pd.Series) -> tuple[float, float]:
    """Spearman's ρ and Kendall's weighted τ; NaN for too few checkpoints, or if all x or all y are equal."""
    if len(x) < MIN_CHECKPOINTS or x.min() == x.max() or y.min() == y.max():
        return nan, nan
    return spearmanr(x, y).statistic, weightedtau(x, y).statistic


def _over_seeds(seeds: pd.DataFrame, rankings: pd.DataFrame) -> pd.DataFrame:
    keys = ["data", "scope", "score", "target"]
    statistics = {
        f"{number}_{statistic}": (number, statistic)
        for number in ("spearman", "tau_w")
        for statistic in ("mean", "std")
    }
    of_seeds = seeds.groupby(keys, sort=False).agg(**statistics, n_seeds=("spearman", "count"))
    counted = (
        rankings.assign(undefined=rankings["spearman"].isna())
        .groupby(keys, sort=False)
        .agg(
            n_checkpoints=("n_checkpoints", "min"),
            n_rankings=("undefined", "size"),
            n_undefined=("undefined", "sum"),
        )
    )
    return of_seeds.join(counted).reset_index()
