"""Scores against measured transfer: which checkpoints are ranked, what is averaged, what is left out."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr, weightedtau

from ctc_lightning.analysis.frames.ranking import DIRECTION, ranking
from ctc_lightning.evaluation.protocol import Task
from ctc_lightning.evaluation.protocols.geometry import FeatureGeometry
from ctc_lightning.evaluation.protocols.scores import TransferabilityScores

COLUMNS = ["data", "method", "seed", "path", "epoch", "protocol", "target", "metric", "value"]


def run(method="ce", seed=0, data="glyphs", transfer=None, metric="top1", protocol="whitened", **scores):
    """A run's rows: of each target its test and validation accuracy, then scores of all targets alike."""
    key = (data, method, seed, f"{data}/{method}/{seed}")
    rows = []
    for target, accuracies in (transfer or {"hue": (0.1, 0.2, 0.3, 0.4)}).items():
        rows += [(*key, epoch, protocol, target, metric, value) for epoch, value in enumerate(accuracies)]
        rows += [
            (*key, epoch, protocol, target, f"val_{metric}", value) for epoch, value in enumerate(accuracies)
        ]
        for name, values in scores.items():
            of = "geometry" if name.startswith(("nc", "cka")) else "scores"
            rows += [(*key, epoch, of, target, name, value) for epoch, value in enumerate(values)]
    return pd.DataFrame(rows, columns=COLUMNS)


def row_of(found, score="logme", target="mean", scope="all checkpoints", data="glyphs"):
    (row,) = found[
        (found["score"] == score)
        & (found["target"] == target)
        & (found["scope"] == scope)
        & (found["data"] == data)
    ].itertuples()
    return row


@pytest.mark.parametrize("scope", ["all checkpoints", "within a run"])
def test_the_same_order_is_1_and_the_reverse_minus_1(scope):
    found = ranking(run(logme=(-9, -3, 0, 1), sfda=(4, 3, 2, 1)))
    same, reverse = row_of(found, "logme", "hue", scope), row_of(found, "sfda", "hue", scope)
    assert (same.spearman_mean, same.tau_w_mean) == pytest.approx((1, 1))
    assert (reverse.spearman_mean, reverse.tau_w_mean) == pytest.approx((-1, -1))
    assert (same.n_seeds, same.n_checkpoints, same.n_rankings, same.n_undefined) == (1, 4, 1, 0)
    assert np.isnan(same.spearman_std)


def test_both_correlations_by_hand_and_the_order_of_the_best_counts_most():
    """The two best exchanged: ρ = 1 − 6·2/(4·15); of the weights 3·(1 + 1/2 + 1/3 + 1/4), 1 + 1/2."""
    best, worst = (
        row_of(ranking(run(logme=order)), "logme", "hue") for order in ((1, 2, 4, 3), (2, 1, 3, 4))
    )
    assert (best.spearman_mean, worst.spearman_mean) == pytest.approx((0.8, 0.8))
    assert best.tau_w_mean == pytest.approx((6.25 - 2 * 1.5) / 6.25)
    assert worst.tau_w_mean > best.tau_w_mean


def test_a_score_is_turned_round_where_lower_should_be_better():
    found = ranking(run(nc1=(4, 3, 2, 1), cka_first=(4, 3, 2, 1), of_ones_own=(1, 2, 3, 4)))
    assert row_of(found, "nc1").spearman_mean == pytest.approx(1)
    assert row_of(found, "cka_first").spearman_mean == pytest.approx(-1)
    assert row_of(found, "of_ones_own").spearman_mean == pytest.approx(1)


def test_every_score_that_the_protocols_give_has_its_direction():
    generator = torch.Generator().manual_seed(0)
    h_NF, label_N = torch.randn(60, 5, generator=generator), torch.arange(60) % 3
    splits = dict.fromkeys(("train", "val", "test"))
    task = Task(
        "hue",
        "top1",
        3,
        splits | dict.fromkeys(splits, label_N),
        splits | dict.fromkeys(splits, h_NF),
        source_probabilities=dict.fromkeys(splits, h_NF.softmax(1)),
        compared_to={"first": h_NF, "previous": h_NF},
    )
    protocols = (
        TransferabilityScores(scores=None, n_leep_ratio=2, n_leep_images=None),
        FeatureGeometry(uniformity_images=None),
    )
    for protocol in protocols:
        for number in protocol.measure(task):
            assert number.metric in DIRECTION


def test_collapse_onto_the_targets_classes_has_the_direction_of_separability():
    """Where classes are told apart better, transfer is better: scores rise, and collapse measures fall."""
    label_N = torch.arange(90) % 3
    noise_NF = torch.randn(90, 4, generator=torch.Generator().manual_seed(0))
    splits = {"train": label_N, "test": label_N}
    signals = (0.5, 1.0, 2.0, 4.0)
    measured = []
    for signal in signals:
        h_NF = signal * torch.eye(3, 4)[label_N] + noise_NF
        task = Task("hue", "top1", 3, splits, dict.fromkeys(splits, h_NF))
        measured.append({n.metric: n.value for n in FeatureGeometry(uniformity_images=None).measure(task)})
    for name in ("nc1", "vci", "alignment"):
        turned = [DIRECTION[name] * numbers[name] for numbers in measured]
        assert spearmanr(turned, signals).statistic == pytest.approx(1), name


def test_all_methods_of_a_seed_are_ranked_together_and_each_run_by_itself():
    # within each run the score orders rightly; but it prefers the wrong method
    worse = run("ce", transfer={"hue": (0.1, 0.2, 0.3)}, logme=(10, 11, 12))
    better = run("ctc_queue", transfer={"hue": (0.7, 0.8, 0.9)}, logme=(1, 2, 3))
    found = ranking(pd.concat([worse, better]))
    together, within = row_of(found), row_of(found, scope="within a run")
    assert together.spearman_mean == pytest.approx(
        spearmanr([10, 11, 12, 1, 2, 3], [1, 2, 3, 7, 8, 9]).statistic
    )
    assert together.spearman_mean < 0
    assert (together.n_checkpoints, together.n_rankings) == (6, 1)
    assert within.spearman_mean == pytest.approx(1)
    assert (within.n_checkpoints, within.n_rankings) == (3, 2)


def test_mean_and_spread_over_seeds_and_targets():
    # ρ of 3 checkpoints: 1 in order, 0.5 with one neighbouring exchange, −1 reversed
    up, exchanged, down = (0.1, 0.2, 0.3), (0.1, 0.3, 0.2), (0.3, 0.2, 0.1)
    seeds = [
        run(seed=0, transfer={"hue": up, "fine": exchanged}, logme=(1, 2, 3)),
        run(seed=1, transfer={"hue": up, "fine": down}, logme=(1, 2, 3)),
        run(seed=2, transfer={"hue": exchanged, "fine": exchanged}, logme=(1, 2, 3)),
    ]
    found = ranking(pd.concat(seeds))
    hue, fine, mean = (row_of(found, target=target) for target in ("hue", "fine", "mean"))
    assert (hue.spearman_mean, hue.spearman_std) == pytest.approx((2.5 / 3, np.std([1, 1, 0.5], ddof=1)))
    assert (fine.spearman_mean, fine.spearman_std) == pytest.approx((0, np.std([0.5, -1, 0.5], ddof=1)))
    of_seed = [0.75, 0, 0.5]  # first over targets, then over seeds
    assert (mean.spearman_mean, mean.spearman_std) == pytest.approx(
        (np.mean(of_seed), np.std(of_seed, ddof=1))
    )
    assert (hue.n_seeds, mean.n_seeds, mean.n_rankings) == (3, 3, 6)
    tau = [weightedtau([1, 2, 3], accuracies).statistic for accuracies in (up, up, exchanged)]
    assert (hue.tau_w_mean, hue.tau_w_std) == pytest.approx((np.mean(tau), np.std(tau, ddof=1)))


def test_runs_of_a_seed_are_averaged_before_seeds_are():
    runs = [
        run("ce", 0, logme=(1, 2, 3, 4)),
        run("ctc_queue", 0, logme=(4, 3, 2, 1)),
        run("ce", 1, logme=(1, 2, 3, 4)),
    ]
    within = row_of(ranking(pd.concat(runs)), "logme", "hue", "within a run")
    assert (within.spearman_mean, within.n_seeds) == (pytest.approx(np.mean([0, 1])), 2)
    assert within.spearman_std == pytest.approx(np.std([0, 1], ddof=1))


def test_equal_scores_are_counted_and_in_no_mean():
    runs = [
        run(seed=0, logme=(2, 2, 2, 2), sfda=(1, 1, 1, 1)),
        run(seed=1, logme=(1, 2, 3, 4), sfda=(1, 1, 1, 1)),
    ]
    found = ranking(pd.concat(runs))
    some, none = row_of(found, "logme", "hue"), row_of(found, "sfda", "hue")
    assert some.spearman_mean == pytest.approx(1)
    assert (some.n_seeds, some.n_rankings, some.n_undefined) == (1, 2, 1)
    assert np.isnan(none.spearman_mean)
    assert np.isnan(none.tau_w_mean)
    assert (none.n_seeds, none.n_rankings, none.n_undefined) == (0, 2, 2)


def test_equal_transfer_and_two_checkpoints_are_undefined():
    flat = run(transfer={"hue": (0.5, 0.5, 0.5)}, logme=(1, 2, 3))
    short = run(seed=1, transfer={"hue": (0.1, 0.2)}, logme=(1, 2))
    found = row_of(ranking(pd.concat([flat, short])), "logme", "hue")
    assert (found.n_undefined, found.n_seeds) == (2, 0)
    assert np.isnan(found.spearman_mean)


def test_where_a_score_failed_the_other_checkpoints_are_ranked():
    frame = run(transfer={"hue": (0.1, 0.2, 0.3, 0.4, 0.5)}, logme=(1, np.nan, 2, 4, 3), sfda=(1, 2, 3, 4, 5))
    failed = (frame["metric"] == "sfda") & (frame["epoch"] == 0)
    frame.loc[failed, ["metric", "value"]] = ["failed", np.nan]
    found = ranking(frame)
    logme = row_of(found, "logme", "hue")
    assert (logme.spearman_mean, logme.n_checkpoints) == (pytest.approx(0.8), 4)
    assert row_of(found, "sfda", "hue").n_checkpoints == 4
    assert "failed" not in set(found["score"])


def test_source_and_validation_accuracy_are_ranked_as_if_they_were_scores():
    frame = run(transfer={"hue": (0.1, 0.2, 0.3, 0.4), "fine": (0.4, 0.3, 0.2, 0.1)}, logme=(1, 2, 3, 4))
    key = frame.iloc[0][["data", "method", "seed", "path"]].tolist()
    source = [(*key, epoch, "classifier", "source", "top1", 0.2 * epoch) for epoch in range(4)]
    source += [(*key, epoch, "classifier", "source", "val_top1", -0.2 * epoch) for epoch in range(4)]
    hue_val = (frame["target"] == "hue") & (frame["metric"] == "val_top1")
    frame.loc[hue_val, "value"] = [0.1, 0.2, 0.4, 0.3]
    found = ranking(pd.concat([frame, pd.DataFrame(source, columns=COLUMNS)]))
    assert row_of(found, "source accuracy", "hue").spearman_mean == pytest.approx(1)
    assert row_of(found, "source accuracy", "fine").spearman_mean == pytest.approx(-1)
    assert row_of(found, "validation accuracy", "hue").spearman_mean == pytest.approx(0.8)
    assert row_of(found, "validation accuracy", "fine").spearman_mean == pytest.approx(1)
    assert "source" not in set(found["target"])


def test_transfer_is_the_targets_own_metric():
    frame = run(metric="mean_per_class", logme=(1, 2, 3, 4))
    other = frame[frame["metric"] == "mean_per_class"].assign(metric="top1")
    other["value"] = 1 - other["value"]  # reported on test alone
    found = ranking(pd.concat([other, frame]))
    assert row_of(found, "logme", "hue").spearman_mean == pytest.approx(1)


def test_transfer_is_measured_by_the_headline_or_the_protocol_of_ones_choice():
    rising = run(logme=(1, 2, 3, 4))
    falling = run(transfer={"hue": (0.4, 0.3, 0.2, 0.1)}, protocol="logreg")
    both = pd.concat([falling, rising])
    assert row_of(ranking(both)).spearman_mean == pytest.approx(1)
    assert row_of(ranking(both, protocol="logreg")).spearman_mean == pytest.approx(-1)
    elsewhere = run(transfer={"cifar10": (0.1, 0.3, 0.2)}, protocol="logreg", sfda=(1, 2, 3))
    assert row_of(ranking(pd.concat([both, elsewhere])), "sfda", "cifar10").spearman_mean == pytest.approx(
        0.5
    )
    without = both[both["protocol"] != "whitened"]
    assert row_of(ranking(without)).spearman_mean == pytest.approx(-1)
    with pytest.raises(ValueError, match=r"numbers of the protocol knn,.*there are logreg, scores, whitened"):
        ranking(both, protocol="knn")


def test_data_sets_stand_by_themselves_and_the_best_score_comes_first():
    frame = pd.concat(
        [
            run(logme=(4, 3, 2, 1), sfda=(1, 2, 4, 3)),
            run(data="digits", logme=(1, 2, 3, 4), sfda=(1, 2, 4, 3)),
            run(data="without_scores"),
        ]
    )
    found = ranking(frame)
    assert row_of(found, data="glyphs").spearman_mean == pytest.approx(-1)
    assert row_of(found, data="digits").spearman_mean == pytest.approx(1)
    assert set(found["data"]) == {"glyphs", "digits"}
    for _, part in found.groupby(["data", "scope", "target"]):
        assert part["spearman_mean"].is_monotonic_decreasing


def test_what_cannot_be_ranked_is_one_sentence():
    with pytest.raises(ValueError, match="no run has numbers of the protocols scores or geometry"):
        ranking(run())
    frame = run(logme=(1, 2, 3, 4))
    with pytest.raises(
        ValueError, match="no run has test and validation numbers of the protocol whitened or logreg"
    ):
        ranking(frame[frame["protocol"] == "scores"])
    with pytest.raises(ValueError, match="no data set has both transfer and scores"):
        ranking(pd.concat([frame[frame["protocol"] == "scores"], run(data="digits")]))
    with pytest.raises(ValueError, match="whitened reports several metrics of hue on validation"):
        ranking(pd.concat([frame, run(metric="mean_per_class")]))
