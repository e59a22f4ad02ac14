"""Peak, final, drop and early stopping are what their equations say."""

import math

import pytest

from ctc_lightning.analysis import comparable, early_stopping, headline, load_runs, summary, trade_off

SOURCE = {("classifier", "source"): ([0.25, 0.6, 0.9, 0.99],) * 2}


def only(frame, **wanted):
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def test_the_peak_is_chosen_on_validation_and_the_first_of_equals_wins(write_run):
    test, validation = [0.5, 0.9, 0.7, 0.6], [0.5, 0.6, 0.8, 0.8]
    run = write_run(SOURCE | {("whitened", "hue"): (test, validation)})
    row = only(trade_off(load_runs(run)), target="hue")
    assert (row.peak, row.peak_epoch, row.final, row.epoch) == (0.7, 2, 0.6, 3)
    assert row["drop"] == pytest.approx(0.1)


def test_the_order_of_the_file_does_not_decide(write_run):
    epochs = (10, 0, 5)
    hue = ([0.3, 0.5, 0.9], [0.7, 0.1, 0.7])
    run = write_run({("classifier", "source"): hue, ("whitened", "hue"): hue}, epochs=epochs)
    row = only(trade_off(load_runs(run)), target="hue")
    assert (row.peak_epoch, row.peak, row.final) == (5, 0.9, 0.3)


def test_the_source_is_the_classifier_whatever_a_probe_says_of_it(write_run):
    run = write_run(
        SOURCE | {("whitened", "source"): ([0.1] * 4,) * 2, ("whitened", "hue"): ([0.5] * 4,) * 2}
    )
    row = only(trade_off(load_runs(run)), target="source")
    assert (row.protocol, row.final) == ("classifier", 0.99)


def test_a_run_with_only_epoch_0_has_no_drop(write_run):
    run = write_run(SOURCE | {("whitened", "hue"): ([0.7], [0.6])}, epochs=(0,))
    row = only(trade_off(comparable(load_runs(run))), target="hue")
    assert (row.peak, row.final, row["drop"], row.peak_epoch) == (0.7, 0.7, 0, 0)
    assert only(early_stopping(load_runs(run)), target="source").final == 0.25


def test_mean_and_sample_std_over_seeds(write_study):
    row = only(summary(load_runs(write_study())), method="ctc_queue", target="hue")
    assert row.n == 3
    assert row.final_mean == pytest.approx(0.90)
    assert row.final_std == pytest.approx(0.01)  # of 0.90, 0.91, 0.89 with ddof = 1
    assert row.drop_mean == pytest.approx(0.02)
    assert row.drop_std == pytest.approx(0, abs=1e-12)  # every seed drops alike


def test_one_seed_has_no_std(write_study):
    row = only(summary(load_runs(write_study(seeds=[0]))), method="ctc_queue", target="hue")
    assert row.n == 1
    assert math.isnan(row.final_std)


def test_early_stopping_takes_one_epoch_for_all_targets_by_their_mean_validation(write_run):
    run = write_run(
        SOURCE
        | {
            ("whitened", "hue"): ([0.1, 0.2, 0.3, 0.4], [0.9, 0.8, 0.4, 0.2]),
            ("whitened", "fine"): ([0.5, 0.6, 0.7, 0.8], [0.2, 0.5, 0.6, 0.9]),
            ("knn", "hue"): ([0.0, 0.0, 0.0, 0.1], [0.0, 0.0, 0.0, 1.0]),
        }
    )
    stopped = early_stopping(load_runs(run)).set_index("target")  # means 0.55, 0.65, 0.50, 0.55
    assert stopped["epoch"].unique().tolist() == [1]
    assert stopped["final"].to_dict() == {"source": 0.6, "hue": 0.2, "fine": 0.6}
    assert early_stopping(load_runs(run), "knn")["epoch"].unique().tolist() == [3]


def test_early_stopping_ignores_epochs_at_which_a_target_is_missing(write_run):
    run = write_run(SOURCE | {("whitened", "hue"): ([0.5] * 4,) * 2, ("whitened", "fine"): ([0.1] * 3,) * 2})
    assert early_stopping(load_runs(run))["epoch"].unique().tolist() == [0]


def test_only_cross_entropy_is_shown_stopped_early(write_study):
    numbers = summary(load_runs(write_study()))
    early = numbers[numbers["stopped"] == "early"]
    assert set(early["method"]) == {"ce"}
    row = only(early, target="hue")
    assert (row.first_epoch, row.last_epoch) == (1, 1)
    assert row.final_mean == pytest.approx(0.92)


@pytest.mark.parametrize("numbers", [trade_off, early_stopping, summary])
def test_two_runs_of_one_method_and_seed_are_refused(write_run, numbers):
    curves = SOURCE | {("whitened", "hue"): ([0.5] * 4,) * 2}
    runs = load_runs([write_run(curves, "monday"), write_run(curves, "tuesday")])
    with pytest.raises(ValueError, match=r"two runs of ce on glyphs have seed 0.*monday and .*tuesday"):
        numbers(runs)


def test_each_target_goes_by_the_metric_that_validation_has_too(write_run):
    hue, pets = ([0.5, 0.6], [0.5, 0.7]), ([0.2, 0.3], [0.4, 0.3])
    run = write_run(
        SOURCE | {("logreg", "hue"): hue, ("logreg", "pets"): pets},
        epochs=(0, 1),
        metrics={"pets": "mean_per_class"},
        rows=[
            (e, "logreg", "pets", name, v, {}) for e in (0, 1) for name, v in (("top1", 0.9), ("ece", 0.1))
        ],
    )
    rows = summary(load_runs(run))
    pets, hue = (only(rows, target=target, stopped="at the end") for target in ("pets", "hue"))
    assert (pets.metric, pets.peak_mean, pets.final_mean) == ("mean_per_class", 0.2, 0.3)
    assert (hue.metric, hue.final_mean) == ("top1", 0.6)


def test_numbers_without_a_validation_twin_are_no_curve(write_run):
    run = write_run(
        SOURCE | {("logreg", "hue"): ([0.5] * 4,) * 2},
        rows=[(0, "scores", "hue", "logme", -3.5, {}), (0, "few_shot", "hue", "5_way_1_shot", 0.4, {})],
    )
    assert set(summary(load_runs(run))["protocol"]) == {"classifier", "logreg"}


def test_targets_alone_have_numbers_too(write_run):
    run = write_run({("logreg", "cinic10"): ([0.5, 0.8, 0.7, 0.6],) * 2})
    row = only(summary(load_runs(run)), stopped="at the end")
    assert (row.target, row.peak_mean, row.final_mean) == ("cinic10", 0.8, 0.6)
    assert set(early_stopping(load_runs(run))["target"]) == {"cinic10"}


@pytest.mark.parametrize(
    ("protocols", "expected"),
    [
        (("knn", "logreg", "whitened"), "whitened"),
        (("knn", "logreg"), "logreg"),
        (("mine", "knn"), "mine"),  # the first that was measured
    ],
)
def test_the_headline_is_whitened_then_logreg_then_the_first(write_run, protocols, expected):
    run = write_run(SOURCE | {(protocol, "hue"): ([0.5] * 4,) * 2 for protocol in protocols})
    assert headline(load_runs(run)) == expected


def test_one_seed_keeps_its_interval_and_several_have_none(write_run):
    def interval(seed):
        rows = [(3, "logreg", "new", m, 0.5, {"low": 0.4, "high": 0.6}) for m in ("top1", "val_top1")]
        return write_run(SOURCE, seed=seed, rows=rows)

    one = only(summary(load_runs(interval(0))), target="new", stopped="at the end")
    assert (one.final_low, one.final_high) == (0.4, 0.6)
    both = only(summary(load_runs(interval(1).parent)), target="new", stopped="at the end")
    assert math.isnan(both.final_low)
