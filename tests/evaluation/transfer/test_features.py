"""Features of a run's checkpoints: those of the weights in the file, with the labels of the same images."""

import re

import pytest
import torch
from hydra import compose, initialize_config_dir

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.evaluation.run_checkpoints import own_data, read_snapshot, rebuild
from ctc_lightning.evaluation.run_features import RunFeatures
from ctc_lightning.transfer import transfer


def by_hand(run_dir, epoch, split):
    """One plain forward pass."""
    snapshot = read_snapshot(run_dir / "checkpoints" / f"epoch_{epoch:03d}.ckpt")
    data = own_data(snapshot.config, {}, trust=False)
    backbone, _ = rebuild(snapshot, data.image_shape, trust=False)
    images = data.image_sets["source"][split]
    with torch.no_grad():
        return backbone(data.standardise(images.image)), images.labels


@pytest.mark.parametrize("split", ["val", "test"])
def test_features_are_those_of_the_checkpoint_with_their_labels(run_dir, split):
    run = RunFeatures(run_dir)
    assert (run.epochs, run.num_classes) == ([0, 1, 2, 3], 2)
    for epoch in (0, 3):
        h_NF, labels = run.at(epoch, split=split)
        expected_NF, expected = by_hand(run_dir, epoch, split)
        torch.testing.assert_close(h_NF, expected_NF)
        assert set(labels) == {"source", "digit"}
        for name in labels:
            assert torch.equal(labels[name], expected[name])


def test_a_target_of_the_same_images_has_the_same_features(run_dir):
    run = RunFeatures(run_dir)
    assert torch.equal(run.at(1, target="digit").h_NF, run.at(1).h_NF)


def test_what_was_saved_within_an_epoch_is_not_taken_for_the_epoch_before(stopped, caplog):
    run_dir = stopped(1, 1)
    for name in ("epoch_001", "best"):
        (run_dir / "checkpoints" / f"{name}.ckpt").unlink()
    assert RunFeatures(run_dir).epochs == [0]
    assert "last.ckpt was saved at step 4, within epoch 2; let the run finish" in caplog.text


def test_what_was_computed_once_costs_no_forward_pass(run_dir, monkeypatch):
    first = RunFeatures(run_dir).at(2).h_NF

    def refuse(*_):
        raise AssertionError("a forward pass")

    monkeypatch.setattr("ctc_lightning.evaluation.measurement.extract_features", refuse)
    assert torch.equal(RunFeatures(run_dir).at(2).h_NF, first)
    with pytest.raises(AssertionError, match="a forward pass"):
        RunFeatures(run_dir).at(1)


def test_features_that_a_transfer_kept_are_used(run_dir):
    overrides = [f"run={run_dir}", "protocol=[geometry]", "target=own"]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        assert not transfer(compose("transfer", overrides))
    kept = set((run_dir / "features").iterdir())
    assert kept
    run = RunFeatures(run_dir)
    for epoch in run.epochs:
        run.at(epoch)
    assert set((run_dir / "features").iterdir()) == kept


def test_an_epoch_or_a_target_that_is_not_there_is_one_sentence(run_dir):
    run = RunFeatures(run_dir)
    with pytest.raises(ValueError, match=r"has no checkpoint of epoch 7; it has \[0, 1, 2, 3\]"):
        run.at(7)
    with pytest.raises(ValueError, match="no target hue; choose from source, digit"):
        run.at(1, target="hue")


def test_a_broken_checkpoint_among_good_ones_is_left_out(run_dir, caplog):
    (run_dir / "checkpoints" / "epoch_002.ckpt").write_bytes(b"half")
    assert RunFeatures(run_dir).epochs == [0, 1, 3]
    assert "left out" in caplog.text


def test_a_folder_without_checkpoints_is_refused(tmp_path):
    with pytest.raises(ValueError, match=f"{re.escape(str(tmp_path))} holds no checkpoint"):
        RunFeatures(tmp_path)
