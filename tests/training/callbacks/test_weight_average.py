"""The weights' average is what is evaluated and saved; the training is the same as without it."""

import copy

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.train import build
from ctc_lightning.training.callbacks import WeightAverage

SMALL = ["debug=fast", "model.queue_size=100", "trainer.enable_progress_bar=false", "num_threads=1"]
SMALL += ["callbacks.transfer_probe.targets=[hue]", "trainer.accumulate_grad_batches=2", "data.batch_size=32"]
DECAY = 0.7
AVERAGE = ["callbacks=[default,weight_average]", f"callbacks.weight_average.decay={DECAY}"]


class Watch(pl.Callback):
    """θ after every optimizer step; stops before an epoch if told to."""

    def __init__(self, stop=None):
        self.theta, self.stop = [], stop

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.stop:
            raise InterruptedError
        if not self.theta:
            self.note(pl_module)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx % 2:
            self.note(pl_module)

    def note(self, pl_module):
        self.theta.append({n: p.detach().clone() for n, p in pl_module.network.named_parameters()})


def train(run_dir, *overrides, stop=None, resume=None):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        trainer, module, data = build(compose("train", [*SMALL, *overrides, f"paths.run_dir={run_dir}"]))
    watch = Watch(stop)
    trainer.callbacks.append(watch)
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    return watch.theta, module, data


def last(run_dir):
    return torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """With and without: θ of every step, the module and the data; and the directories."""
    folder = tmp_path_factory.mktemp("runs")
    threads = torch.get_num_threads()
    yield {"folder": folder, "with": train(folder / "with", *AVERAGE), "without": train(folder / "without")}
    torch.set_num_threads(threads)


def test_training_is_the_same(runs):
    with_, without = runs["with"][0], runs["without"][0]
    assert len(with_) == 1 + 3 * 2  # steps of three epochs of four batches
    for one, other in zip(with_, without, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    saved = last(runs["folder"] / "with")
    for name, tensor in last(runs["folder"] / "without")["state_dict"].items():
        assert torch.equal(saved["trained_network"].get(name, saved["state_dict"][name]), tensor), name


def test_checkpoints_hold_the_average_by_its_definition(runs):
    theta, *_ = runs["with"]
    state = last(runs["folder"] / "with")["state_dict"]
    for name in theta[0]:
        average = theta[0][name].double()
        for now in theta[1:]:
            average = DECAY * average + (1 - DECAY) * now[name].double()
        # seven roundings of float32
        torch.testing.assert_close(state[f"network.{name}"].double(), average, rtol=1e-5, atol=1e-6)


def test_validation_and_probe_judge_the_average(runs):
    _, module, data = runs["with"]
    run_dir = runs["folder"] / "with"
    network = copy.deepcopy(module.network).eval()
    state = last(run_dir)["state_dict"]
    network.load_state_dict(
        {n.removeprefix("network."): t for n, t in state.items() if n.startswith("network.")}
    )

    def top1(loader):
        right = []
        for samples in loader:
            batch = data.on_after_batch_transfer(samples, 0)
            right.append(network(batch.view).argmax(1) == batch.label)
        return torch.cat(right).float().mean().item()

    logged = pd.read_csv(run_dir / "metrics.csv")["val/top1"].dropna().iloc[-1]
    rows = pd.read_csv(run_dir / "results.csv").query("epoch == 3 and target == 'source'").set_index("metric")
    with torch.no_grad():
        assert logged == pytest.approx(top1(data.val_dataloader()))
        assert rows.value["val_top1"] == pytest.approx(logged)
        assert rows.value["top1"] == pytest.approx(top1(data.test_dataloader()))
    other = pd.read_csv(runs["folder"] / "without" / "results.csv").query("target != 'source'").value
    assert not other.equals(pd.read_csv(run_dir / "results.csv").query("target != 'source'").value)


def test_a_resumed_run_ends_as_if_never_stopped(runs, tmp_path):
    with pytest.raises(InterruptedError):
        train(tmp_path, *AVERAGE, stop=2)
    train(tmp_path, *AVERAGE, resume=tmp_path / "checkpoints" / "last.ckpt")
    resumed, expected = last(tmp_path), last(runs["folder"] / "with")
    for part in ("state_dict", "trained_network"):
        for name, tensor in expected[part].items():
            assert torch.equal(resumed[part][name], tensor), name


@pytest.mark.parametrize("decay", [0.0, 1.0, -1])
def test_decay_out_of_range(decay):
    with pytest.raises(ValueError, match=rf"decay is {decay}; it must be above 0 and below 1"):
        WeightAverage(decay=decay)
