"""Checkpoints found, read without running anything, and rebuilt."""

import re

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch.utils.data import DataLoader, TensorDataset

from ctc_lightning import CTCModule
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.evaluation.run_checkpoints import (
    check_targets,
    epoch_in_name,
    find_checkpoints,
    find_runs,
    own_data,
    read_snapshot,
    rebuild,
)


def test_every_checkpoint_says_its_finished_epochs_steps_and_input(run_dir):
    per_epoch = 200 // 64
    found = {file.name: read_snapshot(file) for file in find_checkpoints(run_dir)}
    for epoch in range(4):
        snapshot = found[f"epoch_{epoch:03d}.ckpt"]
        assert (snapshot.epoch, snapshot.step) == (epoch, epoch * per_epoch)
        assert snapshot.expected.shape == (1, 8, 8)
    assert found["last.ckpt"].epoch == 3
    assert list(found)[:4] == [f"epoch_{epoch:03d}.ckpt" for epoch in range(4)]


def test_a_whole_epoch_and_the_network_before_training_are_within_none(run_dir):
    for file in find_checkpoints(run_dir):
        snapshot = read_snapshot(file)
        assert not snapshot.within_epoch, file.name
        assert snapshot.when == f"epoch {snapshot.epoch}, step {snapshot.step}"


@pytest.mark.parametrize(
    ("batch", "within", "when"),
    [(0, False, "epoch 1, step 3"), (1, True, "step 4, within epoch 2"), (2, True, "step 5, within epoch 2")],
)
def test_a_run_that_was_told_to_go_has_trained_further_than_its_last_epoch(batch, within, when, stopped):
    snapshot = read_snapshot(stopped(1, batch) / "checkpoints" / "last.ckpt")
    assert (snapshot.epoch, snapshot.step) == (1, 3 + batch)
    assert (snapshot.within_epoch, snapshot.when) == (within, when)


def test_told_to_go_twice_within_an_epoch(stopped):
    stopped(1, 1)
    snapshot = read_snapshot(stopped(1, 2, "resume=auto") / "checkpoints" / "last.ckpt")
    assert (snapshot.epoch, snapshot.step, snapshot.within_epoch) == (1, 5, True)


@pytest.mark.parametrize(
    ("validation", "when"),
    [("check_val_every_n_epoch=2", "epoch 2, step 6"), ("val_check_interval=2", "within epoch")],
)
def test_the_best_of_a_validation_says_whether_its_epoch_was_over(validation, when, train_small):
    """After every 2 epochs, or after 2 of an epoch's 3 steps."""
    best = read_snapshot(train_small(f"++trainer.{validation}") / "checkpoints" / "best.ckpt")
    assert when in best.when


def test_the_input_in_the_checkpoint_is_what_the_training_data_show(run_dir):
    snapshot = read_snapshot(run_dir / "checkpoints" / "epoch_003.ckpt")
    data = own_data(snapshot.config, {"root": None}, trust=False)
    assert snapshot.expected == data.network_input


def test_a_rebuilt_network_gives_the_logits_of_the_weights_in_the_file(run_dir):
    path = run_dir / "checkpoints" / "epoch_003.ckpt"
    backbone, classifier = rebuild(read_snapshot(path), (1, 8, 8), trust=False)
    state = torch.load(path, weights_only=True)["state_dict"]
    assert not backbone.training
    for part, prefix in ((backbone, "network.backbone."), (classifier, "network.classifier.")):
        for name, value in part.state_dict().items():
            assert torch.equal(value, state[prefix + name])


def test_a_runs_network_is_built_once_and_each_checkpoint_has_weights_of_its_own(run_dir, monkeypatch):
    built = []

    def counting(*arguments, **options):
        built.append(instantiate(*arguments, **options))
        return built[-1]

    monkeypatch.setattr("ctc_lightning.evaluation.run_checkpoints.instantiate", counting)
    snapshots = [read_snapshot(run_dir / "checkpoints" / f"epoch_{epoch:03d}.ckpt") for epoch in (0, 3)]
    for snapshot in snapshots:  # another than the tests before have built
        snapshot.config["network"]["channels_last"] = not snapshot.config["network"]["channels_last"]
    classifiers = [rebuild(snapshot, (1, 8, 8), trust=False)[1] for snapshot in snapshots]
    assert len(built) == 1
    for classifier, snapshot in zip(classifiers, snapshots, strict=True):
        assert torch.equal(classifier.weight, snapshot.state["network.classifier.weight"])
    assert not torch.equal(*(classifier.weight for classifier in classifiers))


def test_runs_are_found_below_a_folder(run_dir, tmp_path):
    assert find_runs(tmp_path) == [run_dir]
    assert find_runs(run_dir) == [run_dir]


def test_a_folder_without_checkpoints_a_file_and_nothing_are_refused(run_dir, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, reason in {
        empty: "holds no checkpoint",
        tmp_path / "nowhere": "does not exist",
        run_dir / "config.yaml": "is a file",
    }.items():
        with pytest.raises(ValueError, match=f"run={re.escape(str(path))} {reason}"):
            find_runs(path)


@pytest.mark.parametrize(("name", "epoch"), [("epoch_012.ckpt", 12), ("last.ckpt", -1), ("epoch_x.ckpt", -1)])
def test_the_epoch_of_an_unreadable_file_is_in_its_name(tmp_path, name, epoch):
    assert epoch_in_name(tmp_path / name) == epoch


def test_a_half_written_checkpoint_is_one_sentence(run_dir):
    path = run_dir / "checkpoints" / "epoch_003.ckpt"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"no complete checkpoint: .* is damaged, half-written"):
        read_snapshot(path)


def test_a_pickle_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return exec, ("raise SystemExit('run')",)

    torch.save({"state_dict": Bomb()}, tmp_path / "bomb.ckpt")
    with pytest.raises(ValueError, match="was not written by ctc_lightning"):
        read_snapshot(tmp_path / "bomb.ckpt")


def test_somebody_elses_checkpoint_is_one_sentence(tmp_path):
    content = {
        "state_dict": {"model.fc.weight": torch.zeros(2)},
        "hyper_parameters": OmegaConf.create({"a": [1]}),
    }
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"was not written by ctc_lightning\.train"):
        read_snapshot(tmp_path / "other.ckpt")


def test_a_checkpoint_of_ordinary_loaders_says_what_it_does_not_record(tmp_path):
    module = CTCModule.from_preset("ce", backbone="cifar/resnet8", num_classes=3)
    images = TensorDataset(torch.randn(6, 3, 8, 8), torch.arange(6) % 3)
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.fit(module, DataLoader(images, 3))
    trainer.save_checkpoint(tmp_path / "mine.ckpt")
    with pytest.raises(ValueError, match=r"does not record the size, mean, .*load_data, or use trainer"):
        read_snapshot(tmp_path / "mine.ckpt")


def test_weights_of_another_architecture_are_refused(run_dir):
    snapshot = read_snapshot(run_dir / "checkpoints" / "epoch_003.ckpt")
    snapshot.config["network"]["backbone"] = "cifar/resnet14"
    with pytest.raises(ValueError, match=r"another architecture .*: it lacks "):
        rebuild(snapshot, (1, 8, 8), trust=False)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "ctc_lightning.train.os.system",
        "torch.hub.load",
        "ctc_lightning.evaluation.sources._own_data",
        "ctc_lightning.networks.weights.load_weights",
    ],
)
def test_code_from_elsewhere_needs_trust(target):
    cfg = {"a": [{"b": {"_target_": target}}]}
    with pytest.raises(ValueError, match=f"would run {re.escape(target)}, .* set trust=true"):
        check_targets(cfg, trust=False)
    check_targets(cfg, trust=True)


def test_an_interpolation_may_hide_code():
    cfg = {"options": "${oc.create:{_target_:joblib.load}}"}
    with pytest.raises(ValueError, match=r"would run .*oc\.create.* set trust=true"):
        check_targets(cfg, trust=False)


@pytest.mark.parametrize("experiment", ["glyphs_ctc_queue", "digits_ce"])
def test_our_own_configurations_need_no_trust(experiment):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("train", [f"experiment={experiment}"])
    for part in ("data", "network"):
        check_targets(OmegaConf.to_container(cfg[part], resolve=True), trust=False)
