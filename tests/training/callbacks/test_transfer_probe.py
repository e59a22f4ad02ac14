"""The probe during training: when, of what, into which files, and without a trace in the training.

N: images, F: features. This file is also a program that trains: ``python test_transfer_probe.py FOLDER``;
Lightning starts rank 1.
"""

import logging
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import nn

import programs
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.data import Digits, Glyphs
from ctc_lightning.evaluation import LogisticRegressionProbe, Measured, Protocol
from ctc_lightning.evaluation import measurement as measuring
from ctc_lightning.evaluation.results import ResultsTable
from ctc_lightning.networks import Network
from ctc_lightning.networks.eval_mode import evaluating
from ctc_lightning.train import build
from ctc_lightning.training.callbacks import TransferProbe

SPLITS = ("train", "val", "test")


class Backbone(nn.Sequential):
    """f: BatchNorm and dropout, which behave otherwise in training."""

    num_features = 5

    def __init__(self, num_pixels):
        super().__init__(nn.Flatten(), nn.Linear(num_pixels, 5), nn.BatchNorm1d(5), nn.Dropout(0.5))


class Recorder(Protocol):
    """Keeps what it is asked, draws from every global generator, and answers with fixed numbers."""

    def __init__(self, top1, *, refuses=(), uses_images=False):
        self.top1, self.refuses, self.uses_images = top1, refuses, uses_images
        self._asked = []

    def measure(self, task):
        torch.rand(1), np.random.rand(1)  # noqa: NPY002 - the global states are what must be restored
        self._asked.append(task)
        if task.target in self.refuses:
            raise ValueError(f"no {task.target}\n here.")
        return [
            Measured("top1", self.top1, 0.1, 0.9, 30, "k=3"),
            Measured("ece", 0.01),
            Measured("val_top1", self.top1 / 2, n=20),
        ]


class Log:
    def __init__(self):
        self.rows = []

    def log_metrics(self, metrics, step):
        self.rows.append((step, metrics))


def trainer_of(data):
    data.setup()
    return SimpleNamespace(
        datamodule=data,
        is_global_zero=True,
        global_rank=0,
        world_size=1,
        precision_plugin=SimpleNamespace(convert_input=lambda batch: batch),
        loggers=[Log()],
        callbacks=[],
        strategy=SimpleNamespace(
            barrier=lambda name: None, broadcast=lambda value: value, root_device=torch.device("cpu")
        ),
        fit_loop=SimpleNamespace(epoch_progress=SimpleNamespace(current=SimpleNamespace(processed=0))),
        global_step=0,
        current_epoch=0,
        max_epochs=7,
    )


def module_of(num_pixels, num_classes):
    torch.manual_seed(0)
    network = Network(Backbone(num_pixels), None, num_classes=num_classes).train()
    network.backbone[3].eval()  # modes are mixed, as with a frozen part
    return SimpleNamespace(network=network, device=torch.device("cpu"), to=lambda device: None)


@pytest.fixture
def trainer():
    return trainer_of(Digits(num_train=40, num_val=20, num_test=30, batch_size=20, eval_batch_size=17))


@pytest.fixture
def module():
    return module_of(64, 2)


@pytest.fixture
def protocols():
    return {"first": Recorder(0.8), "second": Recorder(0.6)}


@pytest.fixture
def make(tmp_path, protocols):
    """A function of the options."""

    def made(protocols=protocols, **options):
        return TransferProbe(protocols, 3, str(tmp_path / "a run"), "ce", 5, **{"also_at": [1], **options})

    return made


@pytest.fixture
def callback(make, trainer, module):
    callback = make()
    callback.setup(trainer, module, "fit")
    return callback


def features(module, data, images):
    """By one plain forward pass."""
    with evaluating(module.network), torch.no_grad():
        return module.network.backbone(data.standardise(images.image))


# ------------------------------------------------------------------------------------------------------- when


def finish(trainer, epochs):
    """Epochs of ten steps."""
    trainer.current_epoch, trainer.global_step = epochs, 10 * epochs
    trainer.fit_loop.epoch_progress.current.processed = epochs


def fit(callback, trainer, module, first=0):
    """What Lightning calls from an epoch on."""
    finish(trainer, first)
    if first < 7:
        callback.on_train_start(trainer, module)
        for epoch in range(first, 7):
            callback.on_train_epoch_start(trainer, module)
            finish(trainer, epoch + 1)
        callback.on_train_end(trainer, module)
    callback.on_fit_end(trainer, module)


def test_it_is_due_before_training_every_n_epochs_at_chosen_ones_and_at_the_end(callback, trainer, module):
    fit(callback, trainer, module)
    rows = callback.results.rows()
    assert list(dict.fromkeys((row.epoch, row.step) for row in rows)) == [
        (0, 0),
        (1, 10),
        (3, 30),
        (6, 60),
        (7, 70),
    ]


def test_a_resumed_run_does_not_probe_its_start_again_and_drops_later_rows(callback, trainer, module):
    for finished in (0, 1, 3):
        finish(trainer, finished)
        callback.probe(trainer, module, finished)
    trainer.loggers[0].rows.clear()
    finish(trainer, 1)
    callback.on_train_start(trainer, module)
    assert {row.epoch for row in callback.results.rows()} == {0, 1}
    callback.on_train_epoch_start(trainer, module)
    assert trainer.loggers[0].rows == [], "it was measured already"


def test_a_run_that_starts_anew_drops_what_was_there(callback, trainer, module):
    callback.probe(trainer, module, finished=3)
    callback.on_train_start(trainer, module)
    assert callback.results.rows() == []


class Stopped(BaseException):
    """In place of a signal's."""


@pytest.mark.parametrize("stopped", [0, 3, 7])
def test_a_probe_that_is_stopped_is_made_up_for_even_if_the_training_is_over(
    stopped, callback, trainer, module, protocols
):
    def stop(task):
        protocols["second"].measure = whole
        raise Stopped

    def watch(task):
        if trainer.current_epoch == stopped:
            return stop(task)
        return whole(task)

    whole, protocols["second"].measure = protocols["second"].measure, watch
    with pytest.raises(Stopped):
        fit(callback, trainer, module)
    assert not {row.epoch for row in callback.results.rows()} & {stopped}
    fit(callback, trainer, module, first=stopped)
    moments = [(row.epoch, row.step) for row in callback.results.rows() if row.metric == "top1"]
    assert sorted(set(moments)) == [(0, 0), (1, 10), (3, 30), (6, 60), (7, 70)]
    assert len({moments.count(moment) for moment in moments}) == 1


# ----------------------------------------------------------------------------------------------------- what


def test_rows_are_the_classifier_and_every_target_under_every_protocol(callback, trainer, module):
    trainer.global_step = 12
    callback.probe(trainer, module, finished=3)
    rows = callback.results.rows()
    assert {row[:5] for row in rows} == {("a run", "ce", 5, 3, 12)}
    found = {(row.protocol, row.target, row.metric): row for row in rows}
    assert len(found) == len(rows)
    assert found["first", "digit", "top1"][8:13] == (0.8, 0.1, 0.9, 30, "k=3")
    assert found["first", "digit", "val_top1"].value == 0.4
    assert found["second", "digit", "top1"].value == 0.6
    assert all(len(row.settings) == 16 and row.seconds >= 0 for row in rows)
    images = trainer.datamodule.image_sets["source"]["test"]
    with torch.no_grad():
        logits = module.network.classifier(features(module, trainer.datamodule, images))
    right = (logits.argmax(1) == images.labels["source"]).float().mean().item()
    assert found["classifier", "source", "top1"].value == pytest.approx(right)


def test_protocols_get_the_frozen_features_and_labels_of_every_split(callback, trainer, module, protocols):
    callback.probe(trainer, module, finished=3)
    (task,) = protocols["first"]._asked
    assert (task.target, task.metric, task.num_classes) == ("digit", "top1", 10)
    assert task.images is None
    for split in SPLITS:
        images = trainer.datamodule.image_sets["source"][split]
        h_NF = features(module, trainer.datamodule, images)
        torch.testing.assert_close(task.features[split], h_NF)
        assert task.label[split].tolist() == images.labels["digit"].tolist()
        with torch.no_grad():
            p_NS = module.network.classifier(h_NF).softmax(1)
        torch.testing.assert_close(task.source_probabilities[split], p_NS)


def test_labels_are_of_the_images_that_stand_in_for_unreadable_ones(
    callback, trainer, module, protocols, monkeypatch
):
    """The last image of every split is replaced by the first, as data.on_error=skip does."""
    data, whole = trainer.datamodule, trainer.datamodule.evaluation_batches

    def replaced(name, split, device):
        last = len(data.image_sets[name][split]) - 1
        first = next(whole(name, split, device))
        for batch in whole(name, split, device):
            view = torch.where((batch.index == last).view(-1, 1, 1, 1), first.view[:1], batch.view)
            yield batch._replace(view=view, index=batch.index % last)

    monkeypatch.setattr(data, "evaluation_batches", replaced)
    callback.probe(trainer, module, finished=3)
    (task,) = protocols["first"]._asked
    for split in SPLITS:
        images = data.image_sets["source"][split]
        rows = torch.tensor([0, *range(len(images) - 1)])
        torch.testing.assert_close(task.features[split], features(module, data, images.rows(rows)))
        assert task.label[split].tolist() == images.labels["digit"][rows].tolist()


def test_a_target_of_another_data_set_looks_as_the_runs_own_images(make, protocols):
    trainer = trainer_of(Glyphs(num_train=64, num_val=32, num_test=32, batch_size=20))
    module = module_of(3 * 32 * 32, 4)
    sizes = {"num_train": 50, "num_val": 30, "num_test": 40, "eval_batch_size": 7}
    callback = make(targets=["hue", "digits/digit"], data=sizes)
    callback.setup(trainer, module, "fit")
    callback.probe(trainer, module, finished=0)
    hue, digit = protocols["first"]._asked
    assert (hue.target, hue.num_classes, digit.target, digit.num_classes) == ("hue", 6, "digits/digit", 10)
    digits = Digits(num_train=50, num_val=30, num_test=40, batch_size=20)
    digits.setup()
    digits.show_as(trainer.datamodule.network_input)
    for split in SPLITS:
        images = digits.image_sets["source"][split]
        assert digit.label[split].tolist() == images.labels["digit"].tolist()
        # sums of 3072 products in float32, in batches of 7 or at once
        torch.testing.assert_close(
            digit.features[split], features(module, digits, images), rtol=1e-4, atol=1e-4
        )
    assert {row.target for row in callback.results.rows()} == {"source", "hue", "digits/digit"}
    assert trainer.datamodule.image_shape == (3, 32, 32)


def test_the_source_is_probed_too_where_it_is_asked_for(make, trainer, module, protocols, caplog):
    callback = make(targets=["source", "own"])
    callback.setup(trainer, module, "fit")
    with caplog.at_level(logging.INFO, logger="ctc_lightning"):
        callback.probe(trainer, module, finished=3)
    source, digit = protocols["first"]._asked
    assert (source.target, source.num_classes, digit.target) == ("source", 2, "digit")
    assert {row.target for row in callback.results.rows() if row.protocol == "first"} == {"source", "digit"}
    (line,) = caplog.messages
    assert ": source 80.0, digit 80.0 (probed in " in line  # each once, under the first protocol


def test_the_log_gets_test_accuracies_at_the_last_step_that_was_made(callback, trainer, module, caplog):
    trainer.global_step = 20
    with caplog.at_level(logging.INFO, logger="ctc_lightning"):
        callback.probe(trainer, module, finished=2)
    ((step, metrics),) = trainer.loggers[0].rows
    assert step == 19
    seconds = metrics.pop("transfer/seconds")
    assert 0 < seconds == callback.seconds
    source = {f"transfer/source/classifier{suffix}" for suffix in ("", "/val_top1")}
    assert all(0 <= metrics.pop(name) <= 1 for name in source)
    assert metrics == {"transfer/digit/first": 0.8, "transfer/digit/second": 0.6} | {
        "transfer/digit/first/val_top1": 0.4,
        "transfer/digit/second/val_top1": 0.3,
        "transfer/epoch": 2,
    }
    (line,) = caplog.messages
    assert line.startswith("ce, seed 5, epoch 2/7: source ")
    assert ", digit 80.0 (probed in " in line


# -------------------------------------------------------------------------------------------------- untouched


def test_training_goes_on_as_if_it_had_not_been_there(callback, trainer, module):
    modes = [child.training for child in module.network.modules()]
    state = {name: tensor.clone() for name, tensor in module.network.state_dict().items()}
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002 - the global state is what must be restored
    expected = torch.rand(2), np.random.rand(2)  # noqa: NPY002 - as above
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002 - as above
    callback.probe(trainer, module, finished=3)
    assert torch.equal(torch.rand(2), expected[0])
    assert (np.random.rand(2) == expected[1]).all()  # noqa: NPY002 - as above
    assert [child.training for child in module.network.modules()] == modes
    for name, tensor in module.network.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    assert all(p.grad is None for p in module.network.parameters())


# ---------------------------------------------------------------------------------------------------- failing


def failures(callback):
    return {(row.protocol, row.target): row.note for row in callback.results.rows() if row.metric == "failed"}


def test_a_protocol_that_fails_stands_in_the_table_and_the_others_go_on(make, trainer, module, caplog):
    callback = make({"first": Recorder(0.8, refuses=["digit"]), "second": Recorder(0.6)})
    callback.setup(trainer, module, "fit")
    callback.probe(trainer, module, finished=3)
    assert failures(callback) == {("first", "digit"): "no digit here."}
    (failed,) = [row for row in callback.results.rows() if row.metric == "failed"]
    assert math.isnan(failed.value)
    assert "epoch 3, first on digit: no digit here." in caplog.messages
    ((_, metrics),) = trainer.loggers[0].rows
    assert "transfer/digit/second" in metrics
    assert "transfer/digit/first" not in metrics


def test_a_target_whose_images_fail_stands_in_the_table_and_the_others_go_on(
    make, trainer, module, protocols, monkeypatch
):
    callback = make(targets=["glyphs/hue", "digit"], data={"num_train": 50, "num_val": 30, "num_test": 40})
    callback.setup(trainer, module, "fit")
    other = callback._targets[0].data

    def unreadable(*_):
        raise OSError("the disk is gone")

    monkeypatch.setattr(other, "evaluation_batches", unreadable)
    callback.probe(trainer, module, finished=3)
    assert failures(callback) == {
        (protocol, "glyphs/hue"): "the disk is gone" for protocol in ("first", "second")
    }
    assert [task.target for task in protocols["first"]._asked] == ["digit"]
    assert all(
        child.training for child in module.network.modules() if child is not module.network.backbone[3]
    )


def test_a_network_that_has_diverged_says_so_and_the_training_decides(callback, trainer, module):
    with torch.no_grad():
        module.network.backbone[1].bias[2] = math.nan
    callback.probe(trainer, module, finished=3)
    found = failures(callback)
    assert set(found) == {("classifier", "source"), ("first", "digit"), ("second", "digit")}
    assert "30 of 30 test images" not in found["classifier", "source"]  # validation comes first
    assert all("features that are not finite" in note for note in found.values())
    assert trainer.loggers[0].rows[0][1].keys() == {"transfer/epoch", "transfer/seconds"}


# ---------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("targets", "problem"),
    [
        (["digit", "hue"], "there is no target hue; .*digit"),
        ("digits/hue", "digits has no label hue; choose from source, digit"),
        ("suite/none", "there is no suite none"),
    ],
    ids=str,
)
def test_a_target_that_is_not_there_is_refused_before_training(targets, problem, make, trainer, module):
    with pytest.raises(ValueError, match=problem):
        make(targets=targets).setup(trainer, module, "fit")


@pytest.mark.parametrize("targets", [None, "own", "digit", "source"], ids=str)
def test_an_option_that_no_target_reads_is_refused_before_training(targets, make, trainer, module):
    message = r"^callbacks\.transfer_probe\.data\.num_test=40 is for targets that are other data sets"
    with pytest.raises(ValueError, match=message):
        make(targets=targets, data={"num_test": 40}).setup(trainer, module, "fit")


def test_options_make_the_runs_own_data_set_another_one(make, trainer, module):
    callback = make(targets="digits/digit", data={"num_test": 40})
    callback.setup(trainer, module, "fit")
    callback.probe(trainer, module, finished=0)
    found = {(row.target, row.n) for row in callback.results.rows() if row.protocol == "first"}
    assert {target for target, _ in found} == {"digits/digit"}
    assert len(callback._targets[0].labels("test")) == 40


@pytest.mark.parametrize("targets", [None, "own", ["digit"], "digit"], ids=str)
def test_the_labels_of_the_runs_own_data(targets, make, trainer, module):
    callback = make(targets=targets)
    callback.setup(trainer, module, "fit")
    callback.probe(trainer, module, finished=0)
    assert {row.target for row in callback.results.rows()} == {"source", "digit"}


def test_protocols_that_train_on_images_are_refused(make):
    with pytest.raises(ValueError, match=r"greedy trains on images.*protocol=greedy afterwards"):
        make({"first": Recorder(0.8), "greedy": Recorder(0.5, uses_images=True)})


def test_a_period_below_one_epoch_is_refused():
    with pytest.raises(ValueError, match="every_n_epochs is 0; it must be a whole number of at least 1"):
        TransferProbe({}, 0, "run", "ce", 0)


# ------------------------------------------------------------------------------------------------- two ranks

TINY = """data=glyphs model=ce data.num_train=67 data.num_val=33 data.num_test=41 data.eval_batch_size=10
    data.batch_size=16 trainer.precision=64-true trainer.max_epochs=1 callbacks=none logger.csv=null
    paths.run_dir=none trainer.enable_progress_bar=false trainer.enable_checkpointing=false"""
TARGETS = ["hue", "new", "digits/digit"]
SIZES = {"num_train": 57, "num_val": 31, "num_test": 39, "eval_batch_size": 8}


def train(folder, where):
    """Probe and train; returns this rank and the rows of every image set that it has seen, in order."""
    seen = []
    whole = measuring.extract_features

    def watch(backbone, batches, device):
        mine = list(batches)
        seen.append(torch.cat([batch.index for batch in mine]))
        return whole(backbone, mine, device)

    measuring.extract_features = watch
    try:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            trainer, module, data = build(compose("train", overrides=f"{TINY} {where}".split()))
        probe = LogisticRegressionProbe(scale="whitened", strengths=[100.0, 1.0], refit=True)
        callback = TransferProbe({"whitened": probe}, 5, str(folder), "ce", 0, targets=TARGETS, data=SIZES)
        trainer.callbacks.append(callback)
        trainer.fit(module, data)
    finally:
        measuring.extract_features = whole
    return trainer.global_rank, seen


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """The folder of a run of two processes."""
    folder = tmp_path_factory.mktemp("ranks")
    done = programs.run(__file__, folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_each_rank_sees_its_share_and_no_image_twice(ranks):
    first, second = (torch.load(ranks / f"{rank}.pt") for rank in (0, 1))
    own, digits = [67, 33, 41], [57, 31, 39]
    sizes = [33, 41, 67, *own, *digits]  # source val and test, then what hue needs beyond them, new, digits
    assert len(first) == len(second) == 2 * len(sizes)  # before and after the epoch
    for mine, theirs, size in zip(first, second, 2 * sizes, strict=True):
        assert sorted([*mine.tolist(), *theirs.tolist()]) == list(range(size))
        assert abs(len(mine) - len(theirs)) <= size // 16 + 1  # one image a batch


def test_two_ranks_measure_what_one_does(ranks, tmp_path):
    """Before training, where both have the same network."""
    train(tmp_path / ranks.name, "trainer=cpu")
    alone, together = (
        {
            (row.protocol, row.target, row.metric): row
            for row in ResultsTable(folder / "results.csv").rows()
            if row.epoch == 0
        }
        for folder in (tmp_path / ranks.name, ranks)
    )
    assert alone.keys() == together.keys()
    assert {target for _, target, _ in alone} == {"source", *TARGETS}
    assert "failed" not in {metric for *_, metric in alone}
    for key, row in alone.items():
        assert together[key].value == pytest.approx(row.value, abs=1e-6), key
        assert (together[key].n, together[key].settings) == (row.n, row.settings)
    assert {r.epoch for r in ResultsTable(ranks / "results.csv").rows()} == {0, 1}


if __name__ == "__main__":
    rank, seen = train(Path(sys.argv[1]), "trainer=ddp_sim")
    torch.save(seen, Path(sys.argv[1]) / f"{rank}.pt")
