"""Peak, final, drop and early stopping are what their equations say."""

import math

import pytest

from ctc_lightning.analysis import comparable, early_stopping, load_runs, summary, trade_off

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


def test_a_run_that_ends_early_is_left_out_with_a_warning(write_run, caplog):
    hue = {("whitened", "hue"): ([0.5, 0.6, 0.7, 0.8],) * 2}
    full = write_run(SOURCE | hue, seed=0)
    short = write_run(SOURCE | hue, seed=1, epochs=(0, 1))
    frame = comparable(load_runs([full, short]))
    assert set(frame["seed"]) == {0}
    assert str(short) in caplog.text


def test_a_run_without_probes_is_left_out_and_alone_it_is_an_error(write_run, caplog):
    good = write_run(SOURCE | {("whitened", "hue"): ([0.5] * 4,) * 2})
    bare = write_run(SOURCE, method="ctc_queue")
    assert set(comparable(load_runs([good, bare]))["method"]) == {"ce"}
    assert str(bare) in caplog.text
    with pytest.raises(ValueError, match=r"no run to compare: .* lacks source or whitened accuracies"):
        comparable(load_runs(bare))


def test_a_run_without_validation_accuracy_has_no_peak_to_show(write_run):
    run = write_run(SOURCE | {("whitened", "hue"): ([0.5] * 4, [])})
    with pytest.raises(ValueError, match="lacks source or whitened accuracies"):
        comparable(load_runs(run))


@pytest.mark.parametrize("numbers", [comparable, trade_off, early_stopping, summary])
def test_two_runs_of_one_method_and_seed_are_refused(write_run, numbers):
    curves = SOURCE | {("whitened", "hue"): ([0.5] * 4,) * 2}
    runs = load_runs([write_run(curves, "monday"), write_run(curves, "tuesday")])
    with pytest.raises(ValueError, match=r"two runs of ce on glyphs have seed 0.*monday and .*tuesday"):
        numbers(runs)
