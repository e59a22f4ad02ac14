"""Every estimate of information is one row of a tidy frame."""

import numpy as np
import pytest

from ctc_lightning.analysis import comparable, information_curves, load_runs
from ctc_lightning.analysis.frames.information import Setting, estimators_of, settings_of
from ctc_lightning.analysis.frames.information_flags import bearers, merged


@pytest.mark.parametrize(
    ("protocol", "parts"),
    [
        ("xt_info_nce/pixels/0.5", ("xt", "info_nce", "pixels", 0.5)),
        ("xt_noisy_channel/0.25", ("xt", "noisy_channel", "", 0.25)),
        ("xt_ksg/projection", ("xt", "ksg", "projection", 0.0)),
        ("xt_mine/encoder/resnet18/1e-05", ("xt", "mine", "encoder/resnet18", 1e-5)),
        ("xt_gaussian", ("xt", "gaussian", "", 0.0)),
        ("ty_classifier", ("ty", "classifier", "", 0.0)),
    ],
)
def test_a_protocol_says_what_was_estimated_and_how(write_information, protocol, parts):
    run = write_information({(protocol, "source"): [1.0]}, epochs=(0,))
    (row,) = information_curves(load_runs(run)).itertuples()
    assert (row.quantity, row.estimator, row.x, row.noise) == parts


def test_a_row_has_the_estimate_its_interval_its_bound_and_its_flag(write_information):
    of = ("xt_noisy_channel/0.5", "source")
    beside = {of: {"upper": [1.5, 2.5], "train": [1.2, 2.9], "note": ["", "within 5 % of its ceiling"]}}
    run = write_information({of: [1.0, 2.0]}, "ctc_queue", 3, beside=beside, epochs=(0, 7))
    frame = information_curves(load_runs(run))
    assert frame["epoch"].tolist() == [0, 7]
    assert set(frame["method"]) == {"ctc_queue"}
    assert set(frame["seed"]) == {3}
    assert set(frame["data"]) == {"glyphs"}
    numbers = frame[["value", "low", "high", "upper", "train"]].to_numpy()
    np.testing.assert_allclose(numbers, [[1, 0.9, 1.1, 1.5, 1.2], [2, 1.9, 2.1, 2.5, 2.9]])
    assert frame["note"].tolist() == ["", "within 5 % of its ceiling"]


def test_what_was_not_estimated_is_nan(write_information):
    frame = information_curves(load_runs(write_information({("ty_classifier", "hue"): [1.0]}, epochs=(0,))))
    assert frame[["upper", "train"]].isna().all(axis=None)


def test_only_estimates_are_rows(write_run):
    accuracy = {("classifier", "source"): ([0.5],) * 2, ("whitened", "hue"): ([0.5],) * 2}
    failed = [(0, "xt_info_nce/pixels/0.5", "source", "failed", None, {"note": "too few images"})]
    frame = load_runs(write_run(accuracy, epochs=(0,), rows=failed))
    assert information_curves(frame).empty


def test_two_runs_of_one_seed_are_refused(write_information, tmp_path):
    for folder in ("monday", "tuesday"):
        write_information({("ty_classifier", "hue"): [1.0]}, epochs=(0,), folder=folder)
    with pytest.raises(ValueError, match="two runs of ce on glyphs have seed 0"):
        information_curves(load_runs(tmp_path))


def test_the_headline_is_the_noisy_channel_then_info_nce(write_information):
    names = ("mine/pixels/0.5", "info_nce/pixels/1", "noisy_channel/1", "noisy_channel/0.25")
    of = {(f"xt_{name}", "source"): [1.0] for name in names} | {("ty_mine", "hue"): [1.0]}
    measured = information_curves(load_runs(write_information(of, epochs=(0,))))
    assert estimators_of(measured, "xt") == ["noisy_channel", "info_nce", "mine"]
    assert estimators_of(measured, "ty") == ["mine"]
    assert [s.noise for s in settings_of(measured, "xt", "noisy_channel")] == [0.25, 1]


def test_a_setting_says_all_that_a_reader_must_know():
    title = Setting("xt", "info_nce", "pixels", 0.5).title
    for part in ("I(X;T_σ)", "σ = 0.5", "pixels", "InfoNCE"):
        assert part in title
    assert "σ" not in Setting("ty", "classifier").title


def test_a_run_with_information_alone_is_comparable(write_information, write_run, tmp_path, caplog):
    write_information({("ty_classifier", "hue"): [1.0] * 4})
    assert set(comparable(load_runs(tmp_path))["method"]) == {"ce"}
    bare = write_run({("classifier", "source"): ([0.5] * 4,) * 2}, method="ctc_queue")
    assert set(comparable(load_runs(tmp_path))["method"]) == {"ce"}
    assert str(bare) in caplog.text


def test_flags_that_differ_in_figures_are_one_with_a_range():
    notes = ["within 5 % of its ceiling of 6.21 nats; a gap of 0.3", "a gap of 0.25", "", "a gap of 0.3"]
    assert merged(notes) == ["within 5 % of its ceiling of 6.21 nats", "a gap of 0.25–0.3"]
    assert merged([*merged(notes), "a gap of 10.5"])[1] == "a gap of 0.25–10.5"


def test_each_flag_names_what_bears_it():
    assert bearers([("gap of 1", "a"), ("gap of 2; ceiling", "b")]) == {
        "gap of 1–2": ["a", "b"],
        "ceiling": ["b"],
    }
