"""Changes and differences of information are those of an independent computation, and noise is no fall.

S seeds, E epochs
"""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp, ttest_rel

from ctc_lightning.analysis import comparable, information_summary, load_runs
from ctc_lightning.analysis.frames.information_change import falls

XT = ("xt_noisy_channel/0.5", "source")


def random_curves(seed, shape):
    return np.random.default_rng(seed).normal(3, 0.2, shape)


@pytest.fixture
def summarised(write_information, tmp_path):
    """The summary of curves (S, E) of methods."""

    def summary(of_methods, target=XT, **more):
        for method, value_SE in of_methods.items():
            for seed, value_E in enumerate(value_SE):
                epochs = tuple(range(len(value_E)))
                write_information({target: list(value_E)}, method, seed, epochs=epochs, **more)
        return information_summary(comparable(load_runs(tmp_path))).set_index("method")

    return summary


def test_peak_end_and_change_are_those_of_a_naive_loop(summarised):
    curves_SE = random_curves(0, (4, 6))
    row = summarised({"ce": curves_SE}).loc["ce"]
    peaks, changes, epochs = [], [], []
    for seed in range(4):
        others = np.delete(curves_SE, seed, axis=0).mean(axis=0)
        best = max(range(1, 6), key=lambda epoch, others=others: others[epoch])
        peaks.append(curves_SE[seed, best])
        changes.append(curves_SE[seed, -1] - curves_SE[seed, best])
        epochs.append(best)
    assert row["n"] == 4
    assert (row["first_peak"], row["last_peak"]) == (min(epochs), max(epochs))
    assert row["end_epoch"] == 5
    wanted = [(np.mean(x), np.std(x, ddof=1)) for x in (peaks, curves_SE[:, -1], changes)]
    names = [f"{name}_{statistic}" for name in ("peak", "end", "change") for statistic in ("mean", "std")]
    np.testing.assert_allclose(row[names].astype(float), np.ravel(wanted))
    interval = ttest_1samp(changes, 0).confidence_interval(0.95)
    np.testing.assert_allclose([row["change_low"], row["change_high"]], [interval.low, interval.high])


def test_the_difference_from_cross_entropy_is_paired_by_seed(summarised):
    ce_SE, ctc_SE = random_curves(1, (3, 4)), random_curves(2, (3, 4))
    rows = summarised({"ctc_queue": ctc_SE, "ce": ce_SE})
    interval = ttest_rel(ctc_SE[:, -1], ce_SE[:, -1]).confidence_interval(0.95)
    ctc = rows.loc["ctc_queue"]
    assert (ctc["against"], ctc["pairs"]) == ("ce", 3)
    found = ctc[["difference_mean", "difference_low", "difference_high"]].astype(float)
    np.testing.assert_allclose(found, [(ctc_SE - ce_SE)[:, -1].mean(), interval.low, interval.high])
    assert rows.loc["ce", "against"] == ""
    assert np.isnan(rows.loc["ce", "difference_mean"])
    assert list(rows.index) == ["ce", "ctc_queue"]


def test_only_seeds_of_both_are_paired(summarised):
    ce_SE, ctc_SE = random_curves(1, (3, 4)), random_curves(2, (2, 4))
    ctc = summarised({"ce": ce_SE, "ctc_queue": ctc_SE}).loc["ctc_queue"]
    assert ctc["pairs"] == 2
    assert ctc["difference_mean"] == pytest.approx((ctc_SE - ce_SE[:2])[:, -1].mean())


def test_without_cross_entropy_there_is_no_difference(summarised):
    rows = summarised({"ctc_queue": random_curves(1, (3, 4)), "ctc_bank": random_curves(2, (3, 4))})
    assert set(rows["against"]) == {""}
    assert rows["difference_mean"].isna().all()


def test_what_an_untrained_network_tells_is_no_peak(summarised):
    curve_SE = np.array([9.0, 3.0, 5.0, 4.0]) + np.array([[0.0], [0.01], [-0.01]])
    row = summarised({"ce": curve_SE}).loc["ce"]
    assert (row["first_peak"], row["last_peak"]) == (2, 2)
    assert row["change_mean"] == pytest.approx(-1.0)


def test_one_seed_has_no_interval_and_never_falls(summarised):
    row = summarised({"ce": np.array([[1.0, 5.0, 2.0]])}).loc["ce"]
    assert (row["peak_mean"], row["change_mean"]) == (5.0, -3.0)
    assert np.isnan(row["change_low"])
    assert not falls(row)


def test_a_fall_beyond_the_seeds_spread_is_one_and_a_rise_is_none(summarised):
    fall_SE = np.array([1.0, 3.0, 2.0]) + np.array([[0.0], [0.01], [-0.01]])
    rows = summarised({"ce": fall_SE, "ctc_queue": np.sort(fall_SE)})
    assert falls(rows.loc["ce"])
    assert not falls(rows.loc["ctc_queue"])


def test_noise_around_a_level_curve_is_no_fall(write_information, tmp_path):
    """Of 100 level curves few may fall; from each seed's own maximum, most of them would."""
    num_curves, shape = 100, (5, 8)
    value_CSE = np.random.default_rng(5).normal(2, 0.1, (num_curves, *shape))
    for seed in range(shape[0]):
        of = {("ty_classifier", f"t{i}"): list(value_CSE[i, seed]) for i in range(num_curves)}
        write_information(of, seed=seed, epochs=tuple(range(shape[1])))
    rows = information_summary(comparable(load_runs(tmp_path)))
    share = np.mean([falls(row) for row in rows.itertuples()])
    naive_CS = value_CSE[:, :, -1] - value_CSE.max(axis=2)
    naive = np.mean(ttest_1samp(naive_CS, 0, axis=1).confidence_interval(0.95).high < 0)
    # In 20 000 draws of plain NumPy 4.8 % and 60 %; a share of 100 has a std of 2.1 and 4.9 points, four fit
    assert share < 0.14
    assert naive > 0.4
    error = rows["change_mean"].std() / num_curves**0.5
    assert abs(rows["change_mean"].mean()) < 4 * error


def test_an_epoch_that_not_all_seeds_have_is_no_peak(write_information, tmp_path):
    write_information({XT: [1.0, 9.0, 2.0]}, seed=0, epochs=(0, 1, 2))
    write_information({XT: [1.0, 2.0]}, seed=1, epochs=(0, 2))
    row = information_summary(comparable(load_runs(tmp_path))).iloc[0]
    assert (row["peak_mean"], row["last_peak"]) == (2.0, 2)


def test_flags_of_peak_and_end_are_kept_apart(write_information, tmp_path):
    for seed, gap in enumerate(("0.2", "0.4")):
        note = ["", f"training estimate {gap} nats above", "near its ceiling"]
        write_information({XT: [1.0, 3.0, 2.0]}, seed=seed, epochs=(0, 1, 2), beside={XT: {"note": note}})
    row = information_summary(comparable(load_runs(tmp_path))).iloc[0]
    assert row["peak_note"] == "training estimate 0.2–0.4 nats above"
    assert row["end_note"] == "near its ceiling"


def test_a_plain_backbone_has_an_end_alone(write_run):
    rows = [(0, "ty_classifier", "pets", "information", 1.5, {})]
    accuracy = {("whitened", "pets"): ([0.7], [0.7])}
    run = write_run(accuracy, "b", "timm/resnet50", data="null", epochs=(0,), rows=rows)
    row = information_summary(comparable(load_runs(run))).iloc[0]
    assert row["end_mean"] == 1.5
    assert pd.isna(row["peak_mean"])
    assert pd.isna(row["change_mean"])


def test_runs_without_information_are_one_sentence_with_the_remedy(write_study):
    with pytest.raises(ValueError, match=r"python -m ctc_lightning.information run=RUN_DIR"):
        information_summary(comparable(load_runs(write_study())))
