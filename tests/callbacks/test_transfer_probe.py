"""The probe during training: when, of what, into which files, and without a trace in the training.

N: images, F: features
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from ctc_lightning.callbacks import TransferProbe
from ctc_lightning.data import Digits
from ctc_lightning.evaluation import Probe, Score
from ctc_lightning.networks import Network
from ctc_lightning.networks.evaluating import evaluating


class Backbone(nn.Sequential):
    """f: BatchNorm and dropout, which behave otherwise in training."""

    num_features = 5

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 5), nn.BatchNorm1d(5), nn.Dropout(0.5))


class Recorder(Probe):
    """Keeps what it is asked, draws from every global generator, and answers with fixed numbers."""

    def __init__(self, top1):
        self.top1, self.asked = top1, []

    def score(self, train, val, test):
        torch.rand(1), np.random.rand(1)  # noqa: NPY002 - the global states are what must be restored
        self.asked.append({"train": train, "val": val, "test": test})
        return Score(self.top1, self.top1 / 2, 1.0)


class Log:
    def __init__(self):
        self.rows = []

    def log_metrics(self, metrics, step):
        self.rows.append((step, metrics))


@pytest.fixture
def trainer():
    data = Digits(num_train=40, num_val=20, num_test=30, batch_size=20, eval_batch_size=17)
    data.setup()
    return SimpleNamespace(
        datamodule=data,
        is_global_zero=True,
        loggers=[Log()],
        strategy=SimpleNamespace(barrier=lambda name: None),
        global_step=0,
        current_epoch=0,
        max_epochs=7,
    )


@pytest.fixture
def module():
    torch.manual_seed(0)
    network = Network(Backbone(), None, num_classes=2).train()
    network.backbone[3].eval()  # modes are mixed, as with a frozen part
    return SimpleNamespace(network=network, device=torch.device("cpu"))


@pytest.fixture
def callback(tmp_path):
    protocols = {"first": Recorder(0.8), "second": Recorder(0.6)}
    return TransferProbe(protocols, 3, str(tmp_path / "a run"), "ce", 5, also_at=[1])


def test_it_is_due_before_training_every_n_epochs_at_chosen_ones_and_at_the_end(callback, trainer, module):
    callback.on_train_start(trainer, module)
    for epoch in range(7):
        trainer.current_epoch, trainer.global_step = epoch, 10 * (epoch + 1)
        callback.on_train_epoch_end(trainer, module)
    rows = callback.results.rows()
    assert [int(epoch) for epoch in dict.fromkeys(row[3] for row in rows)] == [0, 1, 3, 6, 7]
    assert {int(row[4]) for row in rows} == {0, 10, 30, 60, 70}


def test_a_resumed_run_does_not_probe_its_start_again_and_drops_later_rows(callback, trainer, module):
    for finished in (0, 1, 3):
        callback.probe(trainer, module, finished)
    trainer.current_epoch, trainer.global_step = 2, 20
    callback.on_train_start(trainer, module)
    assert {int(row[3]) for row in callback.results.rows()} == {0, 1}


def test_rows_are_the_classifier_and_every_target_under_every_protocol(callback, trainer, module):
    callback.probe(trainer, module, finished=3)
    rows = callback.results.rows()
    assert {tuple(row[:4]) for row in rows} == {("a run", "ce", "5", "3")}
    scores = {tuple(row[5:8]): float(row[8]) for row in rows}
    assert len(scores) == len(rows) == 2 + 2 * 2
    assert scores["first", "digit", "top1"] == 0.8
    assert scores["first", "digit", "val_top1"] == 0.4
    assert scores["second", "digit", "top1"] == 0.6
    images = trainer.datamodule.image_sets["source"]["test"]
    with evaluating(module.network), torch.no_grad():
        logits = module.network(trainer.datamodule.standardise(images.image))
    right = (logits.argmax(1) == images.labels["source"]).float().mean().item()
    assert scores["classifier", "source", "top1"] == pytest.approx(right)


def test_probes_get_the_frozen_features_and_labels_of_every_split(callback, trainer, module):
    callback.probe(trainer, module, finished=3)
    (asked,) = callback.protocols["first"].asked
    for split, features in asked.items():
        images = trainer.datamodule.image_sets["source"][split]
        with evaluating(module.network), torch.no_grad():
            h_NF = module.network.backbone(trainer.datamodule.standardise(images.image))
        torch.testing.assert_close(torch.from_numpy(features.h_NF), h_NF, check_dtype=False)
        assert features.label_N.tolist() == images.labels["digit"].tolist()


def test_labels_are_of_the_images_that_stand_in_for_unreadable_ones(callback, trainer, module, monkeypatch):
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
    (asked,) = callback.protocols["first"].asked
    for split, features in asked.items():
        images = data.image_sets["source"][split]
        rows = torch.tensor([0, *range(len(images) - 1)])
        with evaluating(module.network), torch.no_grad():
            h_NF = module.network.backbone(data.standardise(images.image[rows]))
        torch.testing.assert_close(torch.from_numpy(features.h_NF), h_NF, check_dtype=False)
        assert features.label_N.tolist() == images.labels["digit"][rows].tolist()


def test_the_log_gets_test_accuracies_at_the_last_step_that_was_made(callback, trainer, module):
    trainer.global_step = 20
    callback.probe(trainer, module, finished=2)
    ((step, metrics),) = trainer.loggers[0].rows
    assert step == 19
    assert {name: metrics[name] for name in metrics if "digit" in name} == {
        "transfer/digit/first": 0.8,
        "transfer/digit/second": 0.6,
    }
    assert set(metrics) == {"transfer/source/classifier", "transfer/digit/first", "transfer/digit/second"}


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


@pytest.mark.parametrize(
    ("targets", "refused"), [(["digit"], False), (None, False), (["digit", "hue"], True)], ids=str
)
def test_a_target_that_the_data_do_not_have_is_refused(targets, refused, callback, trainer, module):
    callback.targets = targets
    if refused:
        with pytest.raises(ValueError, match="target 'hue' is unknown; this data set has digit"):
            callback.setup(trainer, module, "fit")
    else:
        callback.setup(trainer, module, "fit")
        callback.probe(trainer, module, finished=0)
        assert {row[6] for row in callback.results.rows()} == {"source", "digit"}


def test_a_period_below_one_epoch_is_refused():
    with pytest.raises(ValueError, match="every_n_epochs is 0; it must be at least 1"):
        TransferProbe({}, 0, "run", "ce", 0)
