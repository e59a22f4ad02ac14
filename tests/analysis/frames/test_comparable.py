"""Which runs belong in one table, what backbones join it, and what is said of the rest."""

import os
import re
import shlex

import pytest

from ctc_lightning.analysis import comparable, curves, failures, load_runs, summary
from ctc_lightning.analysis.frames.comparable import common_targets

SOURCE = {("classifier", "source"): ([0.25, 0.6, 0.9, 0.99],) * 2}
HUE = {("whitened", "hue"): ([0.5, 0.6, 0.7, 0.8],) * 2}


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
    with pytest.raises(
        ValueError,
        match=r"no run to compare: .*run `python -m ctc_lightning.transfer run=.*ctc_queue/0 target=…`",
    ):
        comparable(load_runs(bare))


def test_the_command_for_an_awkward_folder_can_be_pasted(write_run, tmp_path):
    run = write_run(SOURCE).rename(tmp_path / "it's (1)")
    with pytest.raises(ValueError, match="no run to compare") as error:
        comparable(load_runs(run))
    command = re.search(r"`(.*)`", str(error.value))[1]
    assert f"run={run}" in shlex.split(command)


def test_a_run_without_validation_accuracy_has_no_peak_to_show(write_run):
    run = write_run(SOURCE | {("whitened", "hue"): ([0.5] * 4, [])})
    with pytest.raises(ValueError, match="has no target measured on test and validation"):
        comparable(load_runs(run))


def test_of_two_alike_the_later_is_taken_and_the_other_named(write_run, caplog):
    monday, tuesday = write_run(SOURCE | HUE, "monday"), write_run(SOURCE | HUE, "tuesday")
    os.utime(monday / "results.csv", (2e9, 2e9))
    assert comparable(load_runs([monday, tuesday]))["path"].unique().tolist() == [str(monday)]
    assert f"{tuesday} has a twin of the same configuration and seed" in caplog.text


def test_of_two_alike_the_one_that_went_further_is_taken(write_run):
    long = write_run(SOURCE | HUE, "long")
    short = write_run(SOURCE | HUE, "short", epochs=(0, 1))
    os.utime(short / "results.csv", (2e9, 2e9))
    assert comparable(load_runs([long, short]))["path"].unique().tolist() == [str(long)]


def test_a_target_measured_less_far_than_for_other_seeds_is_left_out(write_run, caplog):
    new = {("logreg", "new"): ([0.5] * 4,) * 2}
    half = {("logreg", "new"): ([0.5] * 2,) * 2}
    full = write_run(SOURCE | HUE | new, seed=0)
    short = write_run(SOURCE | HUE | half, seed=1)
    frame = comparable(load_runs([full, short]))
    seeds = frame.groupby("target")["seed"].nunique()
    assert seeds.to_dict() == {"source": 2, "hue": 2, "new": 1}
    assert f"logreg on new in {short} ends before" in caplog.text


def test_the_variants_of_a_sweep_are_methods_of_their_own(write_run, tmp_path):
    for temperature in (0.1, 0.2):
        for seed in (0, 1):
            config = f"model:\n  temperature: {temperature}\n"
            write_run(SOURCE | HUE, f"{temperature}/{seed}", "ctc_queue", seed, config=config)
    frame = comparable(load_runs(tmp_path))
    assert set(frame["method"]) == {"ctc_queue, temperature=0.1", "ctc_queue, temperature=0.2"}
    assert frame["path"].nunique() == 4


def backbone(write_run, targets, folder="resnet", config="network: {backbone: timm/resnet50}\n"):
    final = {(protocol, target): ([0.7], [0.7]) for protocol in ("whitened", "knn") for target in targets}
    return write_run(final, folder, "timm/resnet50", data="null", epochs=(0,), config=config)


def test_a_backbone_joins_each_data_set_that_has_its_targets_and_has_no_peak(write_run, tmp_path):
    write_run(SOURCE | HUE)
    write_run(SOURCE | {("whitened", "cinic10"): ([0.5] * 4,) * 2}, data="digits")
    backbone(write_run, ["glyphs/hue", "cinic10", "pets"])
    rows = summary(comparable(load_runs(tmp_path)))
    joined = rows[rows["plain"] & (rows["protocol"] == "whitened")]
    assert dict(zip(joined["data"], joined["target"], strict=True)) == {"glyphs": "hue", "digits": "cinic10"}
    assert joined["peak_mean"].isna().all()
    assert joined["final_mean"].tolist() == [0.7, 0.7]


def test_a_backbone_measured_in_two_places_is_one(write_run, tmp_path):
    write_run(SOURCE | HUE | {("whitened", "new"): ([0.5] * 4,) * 2})
    backbone(write_run, ["glyphs/hue"], "one")
    backbone(write_run, ["glyphs/new"], "two")
    rows = summary(comparable(load_runs(tmp_path)))
    assert set(rows.loc[rows["plain"], "target"]) == {"hue", "new"}
    assert set(rows.loc[rows["plain"], "method"]) == {"timm/resnet50"}


def test_a_backbone_without_a_common_target_is_named(write_run, tmp_path, caplog):
    write_run(SOURCE | HUE)
    lonely = backbone(write_run, ["pets"])
    assert not comparable(load_runs(tmp_path))["plain"].any()
    assert f"{lonely} shares no target with a run" in caplog.text


def test_backbones_alone_are_a_data_set_of_their_own(write_run):
    frame = comparable(load_runs(backbone(write_run, ["pets"])))
    assert set(frame["data"]) == {"backbones"}


def test_failures_are_told_and_are_no_numbers(write_run):
    rows = [
        (2, "logreg", "pets", "failed", None, {"note": "pets has no test images."}),
        (3, "logreg", "pets", "failed", None, {"note": "pets has no test images."}),
        (2, "epoch_002.ckpt", "-", "failed", None, {"note": "half-written."}),
    ]
    run = write_run(SOURCE | HUE, rows=rows)
    frame = load_runs(run)
    assert failures(frame) == (
        3,
        [
            f"logreg on pets: pets has no test images. (2 times, first in {run}, epoch 2)",
            f"epoch_002.ckpt: half-written. (in {run}, epoch 2)",
        ],
    )
    assert failures(comparable(frame)) == (0, [])


def test_means_are_over_the_targets_that_every_method_has(write_run, tmp_path):
    new = {("whitened", "new"): ([0.5] * 4,) * 2}
    write_run(SOURCE | HUE | new)
    write_run(SOURCE | HUE, method="ctc_queue")
    backbone(write_run, ["glyphs/new"])
    measured = curves(comparable(load_runs(tmp_path)))
    assert common_targets(measured[measured["protocol"] == "whitened"]) == ["hue"]
