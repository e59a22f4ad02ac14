"""Two real processes train as one would: each method with ``trainer=ddp_sim``.

This file is also the program that trains: ``python test_ddp_training.py FOLDER``; Lightning starts rank 1.
"""

import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from pytorch_lightning.callbacks import LambdaCallback
from torch.nn import BatchNorm2d

import programs
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.train import build

pytestmark = pytest.mark.slow

TINY = """data=digits data.source_label=digit data.num_val=20 data.num_test=20 trainer.precision=64-true
    data.augmentation=null data.key_augmentation=null optim.optimizer.lr=0.02 trainer.max_epochs=3
    callbacks=none logger.csv=null paths.run_dir=none trainer.enable_progress_bar=false
    trainer.enable_checkpointing=false"""
EVEN, UNEVEN = "data.num_train=64", "data.num_train=45 data.drop_last=false"  # 8 + 8 images a step; 8 + 7
QUEUE, BANK = "model=ctc_queue model.queue_size=40", "model=ctc_bank"
REFERENCE = "model=ctc_two_stage_reference model.num_negatives=16"
TWIN_BANK = "model=ctc_bank memory@model.stages.contrast.memory=twin_bank"
COMPARABLE = {
    "even queue": f"{QUEUE} {EVEN}",
    "even bank": f"{BANK} {EVEN}",
    "uneven queue": f"{QUEUE} {UNEVEN}",
    "uneven bank": f"{BANK} {UNEVEN}",
    "accumulated queue": f"{QUEUE} {EVEN}",
    "accumulated twin bank": f"{TWIN_BANK} {EVEN}",
    "accumulated uneven bank": f"{BANK} data.num_train=63 data.drop_last=false",  # 4 + 4 and 4 + 3 at last
}
RUNS = COMPARABLE | {"uneven reference": f"{REFERENCE} {UNEVEN}"}


RESUMED = "even queue"
ONE, TWO = "trainer=cpu data.batch_size=16", "trainer=ddp_sim data.batch_size=8"
ACCUMULATED = "trainer=ddp_sim data.batch_size=4 trainer.accumulate_grad_batches=2"


def train(name, where, resume=None, save=None):
    """What this process sees: loss and gradients of every step, stage of every epoch, state at the end.

    ``save``: where to, after the second of three epochs.
    """
    overrides = f"{TINY} {RUNS[name]} {where}".split()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        trainer, module, data = build(compose("train", overrides=overrides))
    losses, grads, sizes, stages = [], [], [], []

    def on_train_batch_start(trainer, module, batch, batch_idx):
        for layer in module.modules():
            if name in COMPARABLE and isinstance(layer, BatchNorm2d):
                layer.eval()  # a batch's statistics depend on how many images a process has

    def on_train_batch_end(trainer, module, outputs, batch, batch_idx):
        losses.append(outputs["loss"])
        sizes.append(len(batch.index))
        if trainer.global_step > len(grads):  # of a whole step, averaged
            grads.append({n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None})

    def on_train_epoch_end(trainer, module):
        stages.append(module.stage_name)
        if save is not None and trainer.current_epoch == 1:
            trainer.save_checkpoint(save)

    hooks = (on_train_batch_start, on_train_batch_end, on_train_epoch_end)
    trainer.callbacks.append(LambdaCallback(**{hook.__name__: hook for hook in hooks}))
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    seen = {"losses": torch.stack(losses), "sizes": torch.tensor(sizes)}
    seen |= {"grads": grads, "stages": stages, "state": module.state_dict()}
    return trainer.global_rank, seen


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What both ranks saw of every run."""
    folder = tmp_path_factory.mktemp("ranks")
    train(RESUMED, ONE, save=folder / "one.ckpt")
    done = programs.run(__file__, folder)
    assert done.returncode == 0, done.stderr
    seen = {
        name: [torch.load(folder / f"{name} {rank}.pt") for rank in (0, 1)] for name in (*RUNS, "resumed")
    }
    return seen | {"checkpoint of two": folder / "two.ckpt"}


@pytest.mark.parametrize("name", COMPARABLE)
def test_two_processes_equal_one_with_both_batches(name, ranks):
    _, alone = train(name, ONE)
    exactly = {"rtol": 1e-9, "atol": 1e-9}
    if "accumulated" not in name:  # there a loss is a micro-batch's
        losses, sizes = (torch.stack([seen[part] for seen in ranks[name]]) for part in ("losses", "sizes"))
        torch.testing.assert_close((losses * sizes).sum(0) / sizes.sum(0), alone["losses"], **exactly)
    for seen in ranks[name]:
        torch.testing.assert_close(seen["grads"], alone["grads"], **exactly)
        torch.testing.assert_close(seen["state"], alone["state"], **exactly)


@pytest.mark.parametrize("name", RUNS)
def test_gradients_weights_memories_and_frozen_networks_are_identical_on_both_ranks(name, ranks):
    # without SyncBatchNorm each rank has running statistics of its own within an epoch, frozen ones apart
    mine, theirs = (
        {n: t for n, t in seen["state"].items() if "running_" not in n or n.startswith("stages.temporal.")}
        for seen in ranks[name]
    )
    torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    torch.testing.assert_close(*(seen["grads"] for seen in ranks[name]), rtol=0, atol=0)


def test_a_run_of_two_ranks_resumed_on_one_and_the_reverse_keeps_the_queue(ranks):
    """As a set; where BatchNorm is frozen, nothing else differs either.

    Lightning loads a checkpoint before it makes the module double: float32's rounding remains, 6e-8 at 1,
    and then four steps.
    """
    rounded = {"rtol": 0, "atol": 1e-6}
    whole = ranks[RESUMED][0]
    _, on_one = train(RESUMED, ONE, resume=ranks["checkpoint of two"])
    for resumed in (on_one, *ranks["resumed"]):
        assert resumed["losses"].shape == (4,)  # the last epoch's steps
        keys, expected = (seen["state"]["stages.contrast.memory.key_KD"] for seen in (resumed, whole))
        keys, expected = (key_KD[key_KD[:, 0].argsort()] for key_KD in (keys, expected))
        torch.testing.assert_close(keys, expected, **rounded)
        torch.testing.assert_close(resumed["state"], whole["state"], **rounded)


def test_heads_that_wait_for_their_stage_neither_stop_nor_join_the_first(ranks):
    heads = {
        f"stages.temporal.{head}.{name}"
        for head in ("projector", "key_encoder.encoder.1")
        for name in ("weight", "bias")
    }
    for seen in ranks["uneven reference"]:
        assert seen["stages"] == ["instance", "instance", "temporal"]
        assert [heads & set(grad) for grad in seen["grads"]] == 6 * [set()] + 3 * [heads]


if __name__ == "__main__":
    here = Path(sys.argv[1])
    for name in RUNS:
        where = ACCUMULATED if "accumulated" in name else TWO
        rank, seen = train(name, where, save=here / "two.ckpt" if name == RESUMED else None)
        torch.save(seen, here / f"{name} {rank}.pt")
    rank, seen = train(RESUMED, TWO, resume=here / "one.ckpt")
    torch.save(seen, here / f"resumed {rank}.pt")
