"""The table and the words say what the numbers say: a fall only where one was measured."""

import numpy as np
import pytest

from ctc_lightning.analysis import comparable, information_summary, load_runs
from ctc_lightning.analysis.frames.information import Setting
from ctc_lightning.analysis.report.information_table import information_table, number
from ctc_lightning.analysis.report.information_words import NO_FALL, information_words

XT, TY = Setting("xt", "noisy_channel", "", 0.5), Setting("ty", "classifier")
FALL, RISE = [1.0, 3.0, 2.0], [1.0, 2.9, 3.0]
SPREAD = (0.0, 0.01, -0.01)  # of three seeds


@pytest.fixture
def study(write_information, tmp_path):
    """Runs of methods whose curves are of the source's I(X;T) and, by name, of labels' I(T;Y)."""

    def write(xt=None, ty=None, seeds=(0, 1, 2), notes=None, epochs=None):
        for method in xt or ty:
            for seed in seeds:
                of = {("xt_noisy_channel/0.5", "source"): xt[method]} if xt else {}
                of |= {("ty_classifier", name): curve for name, curve in (ty or {}).get(method, {}).items()}
                steps = SPREAD[seed] * np.arange(1, 4)
                of = {key: list(curve + steps) for key, curve in of.items()}
                beside = {key: {"note": notes[method]} for key in of if method in (notes or {})}
                at = (epochs or {}).get(method, (0, 1, 2))
                write_information(of, method, seed, epochs=at, beside=beside)
        return information_summary(comparable(load_runs(tmp_path)))

    return write


def cells(table):
    lines = [line for line in table.splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_a_row_shows_peak_end_change_and_difference(study):
    summary = study({"ce": FALL, "ctc_queue": RISE})
    ce, ctc = cells(information_table(summary, XT))
    curves = np.array(FALL) + np.outer(SPREAD, (1, 2, 3))
    spread = curves.std(axis=0, ddof=1)
    assert (ce["on"], ce["method"], ce["minus CE"]) == ("source", "CE", "–")
    assert ce["peak"] == f"{curves[:, 1].mean():.2f}±{spread[1]:.2f} (epoch 1)"
    assert ce["end"] == f"{curves[:, 2].mean():.2f}±{spread[2]:.2f}"
    assert ce["change"].startswith(f"−1.00±{spread[0]:.2f} [")
    assert ctc["method"] == "CTC, temporal queue"
    assert ctc["minus CE"] == "+1.00 [1.00, 1.00]"  # the same spread in both


def test_the_source_comes_first(study):
    summary = study(ty={"ce": {"hue": RISE, "source": RISE}})
    assert [row["on"] for row in cells(information_table(summary, TY))] == ["source", "hue"]


def test_a_flagged_number_is_marked_and_the_words_name_it(study):
    notes = {"ce": ["", "within 5 % of its ceiling of 3.10 nats", ""]}
    summary = study({"ce": FALL, "ctc_queue": RISE}, notes=notes)
    ce, ctc = cells(information_table(summary, XT))
    assert "†" in ce["peak"]
    assert "†" not in ce["end"] + ctc["peak"] + ctc["end"]
    words = information_words(summary, [XT])
    assert "Flagged, within 5 % of its ceiling of 3.10 nats: CE on source." in words


def test_one_seed_is_shown_without_spread(study):
    summary = study({"ce": FALL, "ctc_queue": RISE}, seeds=(0,))
    ce, ctc = cells(information_table(summary, XT))
    assert (ce["peak"], ce["change"], ctc["minus CE"]) == ("3.00 (epoch 1)", "−1.00", "+1.00")
    words = information_words(summary, [XT])
    assert "one seed has no interval" in words
    assert "falls" not in words
    assert NO_FALL not in words


@pytest.mark.parametrize(
    ("value", "shown"), [(-0.0004, "0.000"), (np.nan, "–"), (-1.5, "−1.500"), (2, "+2.000")]
)
def test_numbers_have_a_true_minus_and_no_negative_zero(value, shown):
    assert number(value, 3, sign=True) == shown


def test_the_claim_holds_where_ce_falls_and_ctc_ends_above_without_a_fall(study):
    words = information_words(study({"ce": FALL, "ctc_queue": RISE, "ctc_bank": FALL}), [XT])
    first = words.splitlines()[0]
    assert "falls for CE and CTC, memory bank; kept by CTC, temporal queue" in first


def test_a_method_that_never_had_it_does_not_keep_it(study):
    words = information_words(study({"ce": FALL, "ctc_queue": [0.5, 0.6, 0.7]}), [XT])
    assert "falls for CE; kept by no other method" in words
    assert "against CE at the end −1.30" in words


def test_a_smaller_fall_than_that_of_ce_is_told_apart_from_keeping(study):
    words = information_words(study({"ce": FALL, "ctc_queue": [1.0, 3.0, 2.5]}), [XT])
    assert "kept by no other method" in words
    assert "above CE's at the end, though it falls, for CTC, temporal queue" in words


def test_where_ce_does_not_fall_that_is_the_finding(study):
    words = information_words(study({"ce": RISE, "ctc_queue": RISE}), [XT])
    first, ce, ctc, *_ = words.splitlines()
    assert f"{NO_FALL} for CE" in first
    assert "kept" not in first
    assert NO_FALL in ce
    assert "0.00 [0.00, 0.00], no difference beyond the seeds' spread" in ctc


def test_the_upper_bound_at_the_end_is_told_where_there_is_one(write_information, tmp_path):
    for seed, shift in enumerate(SPREAD):
        of = {("xt_noisy_channel/0.5", "source"): [3.0 + shift, 2.0 + shift]}
        beside = {next(iter(of)): {"upper": [3.5 + shift, 2.6 + shift]}}
        write_information(of, seed=seed, epochs=(1, 2), beside=beside)
    words = information_words(information_summary(comparable(load_runs(tmp_path))), [XT])
    assert "[−1.00, −1.00], at most 2.60 there)" in words


def test_labels_are_told_method_by_method(study):
    ty = {"ce": {"hue": FALL, "fine": RISE}, "ctc_queue": {"hue": RISE, "fine": RISE}}
    words = information_words(study(ty=ty), [TY])
    ce, ctc = words.splitlines()[1:3]
    assert f"CE: falls on hue (3.000 → 2.000); {NO_FALL} on fine." in ce
    assert f"{NO_FALL} on hue, fine; at the end against CE above on hue (+1.000 [1.000, 1.000])" in ctc


def test_ends_at_different_epochs_are_said_to_be(study):
    words = information_words(study({"ce": FALL, "ctc_queue": RISE}, epochs={"ctc_queue": (0, 1, 9)}), [XT])
    assert "against CE at the end (there at epoch 2)" in words


def test_a_variant_of_cross_entropy_is_no_keeper(study):
    words = information_words(study({"ce": FALL, "ce_best_wd": RISE}), [XT])
    assert "kept" not in words
    assert f"CE, best weight decay: {NO_FALL}" in words
