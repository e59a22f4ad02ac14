"""Training steps run compiled, once for each stage, and the training is the same as without."""

from itertools import pairwise

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.train import build
from ctc_lightning.training.callbacks import Compile

SMALL = [
    "experiment=glyphs_ctc_two_stage",
    "data.num_train=80",
    "data.num_val=40",  # batches of 32 and 8 images: other sizes than the training's
    "data.num_test=40",
    "data.batch_size=32",
    "data.eval_batch_size=32",
    "callbacks=none",
    "logger.csv=null",
    "trainer.max_epochs=4",
    "model.stages.instance.epochs=2",
    "trainer.enable_progress_bar=false",
]


class Counting:
    """A backend of ``torch.compile`` that changes nothing and counts."""

    def __init__(self):
        self.compiled, self.calls = 0, 0

    def __call__(self, graph, example_inputs):
        self.compiled += 1

        def run(*inputs):
            self.calls += 1
            return graph.forward(*inputs)

        return run


def train(tmp_path, *callbacks):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        trainer, module, data = build(compose("train", [*SMALL, f"paths.run_dir={tmp_path}"]))
    trainer.callbacks += callbacks
    trainer.fit(module, data)
    return module


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    yield
    torch.compiler.set_stance("default")


def test_each_stage_compiles_once_and_evaluation_not_at_all(tmp_path):
    backend = Counting()
    seen = []

    class Watch(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            seen.append((pl_module.stage_name, backend.compiled, backend.calls))

    train(tmp_path, Compile(backend=backend), Watch())
    stages = [stage for stage, *_ in seen]
    assert stages == ["instance", "instance", "temporal", "temporal"]
    compiled = [count for _, count, _ in seen]
    graphs = compiled[0]  # f, in as many graphs as torch cuts it into
    assert graphs > 0
    assert compiled[1] == graphs
    assert compiled[3] == compiled[2] <= 2 * graphs  # f' of the second stage
    assert compiled[2] > graphs
    calls = [later[2] - earlier[2] for earlier, later in pairwise(seen)]
    assert calls[0] == seen[0][2] == 2 * graphs  # two training steps an epoch; validation is not among them


def test_the_weights_are_those_of_a_training_that_is_not_compiled(tmp_path):
    compiled = train(tmp_path / "a", Compile(backend="eager")).state_dict()
    plain = train(tmp_path / "b").state_dict()
    assert list(compiled) == list(plain)
    for name, value in plain.items():
        assert torch.equal(compiled[name], value), name


def test_torch_is_left_as_it_was(tmp_path):
    train(tmp_path, Compile(backend="eager"))
    backend = Counting()
    torch.compile(torch.sin, backend=backend)(torch.ones(3))
    assert backend.compiled == 1
