"""Accumulated micro-batches train as one batch of all their images. B: images of a batch"""

import pytest
import torch
from hydra import compose, initialize_config_dir
from pytorch_lightning.callbacks import LambdaCallback
from torch.nn import BatchNorm2d

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.data.sampler import EpochBatches
from ctc_lightning.train import build

TINY = """data=digits data.source_label=digit data.num_train=48 data.num_val=20 data.num_test=20
    data.augmentation=null data.key_augmentation=null trainer.precision=64-true optim.optimizer.lr=0.05
    trainer.max_epochs=3 callbacks=none logger.csv=null paths.run_dir=none trainer.enable_progress_bar=false
    trainer.enable_checkpointing=false trainer.limit_val_batches=0"""
MEMORIES = {
    "queue": "model=ctc_queue model.queue_size=40",  # no multiple of a step's images
    "short queue": "model=ctc_queue model.queue_size=5",
    "bank": "model=ctc_bank",
    "twin bank": "model=ctc_bank memory@model.stages.contrast.memory=twin_bank",
    "cross-entropy": "model=ce",
}
EXACTLY = {"rtol": 1e-9, "atol": 1e-9}


class Cut(EpochBatches):
    """Batches of these sizes, from one order of the images for each epoch."""

    def __init__(self, sizes, images_of_epoch):
        super().__init__(sum(sizes), max(sizes), seed=0)
        self.sizes, self.images_of_epoch, self.num_batches = sizes, images_of_epoch, len(sizes)

    def __iter__(self):
        for index_B in self.images_of_epoch(self.epoch)[: self.num_images].split(self.sizes):
            yield index_B.numpy(), None


def in_order(epoch):
    return torch.arange(48).roll(7 * epoch)


def with_repeats(epoch):
    """Some images come several times in an optimizer step."""
    return torch.randint(20, (48,), generator=torch.Generator().manual_seed(epoch))


def build_cut(overrides, sizes, accumulate=1, images_of_epoch=in_order, **hooks):
    """Trainer, module, data; BatchNorm uses its running statistics, which do not depend on the batch."""
    step = f"data.batch_size={max(sizes)} trainer.accumulate_grad_batches={accumulate}"
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        trainer, module, data = build(compose("train", overrides=f"{TINY} {overrides} {step}".split()))
    cut = Cut(sizes, images_of_epoch)
    data.train_dataloader = lambda: data.open(cut, "source", "train", train=True)

    def freeze_statistics(trainer, module, batch, batch_idx):
        for layer in module.modules():
            if isinstance(layer, BatchNorm2d):
                layer.eval()

    trainer.callbacks += [LambdaCallback(on_train_batch_start=freeze_statistics), LambdaCallback(**hooks)]
    return trainer, module, data


def train(*arguments):
    trainer, module, data = build_cut(*arguments)
    trainer.fit(module, data)
    return module


def state(module):
    """Weights, memory, and the images that a queue holds in the order of its slots."""
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize(
    ("micro", "accumulate", "whole"),
    [
        ([8] * 6, 2, [16, 16, 16]),
        ([8] * 5, 2, [16, 16, 8]),  # the last step has one micro-batch
        ([8, 8, 8, 8, 8, 3], 2, [16, 16, 11]),  # its second one is smaller
        ([5, 5, 5, 5, 2], 3, [15, 7]),
    ],
    ids=["even", "one left", "smaller", "three"],
)
def test_micro_batches_equal_one_batch(memory, micro, accumulate, whole):
    found, expected = train(MEMORIES[memory], micro, accumulate), train(MEMORIES[memory], whole)
    assert found.trainer.global_step == expected.trainer.global_step == 3 * len(whole)
    torch.testing.assert_close(state(found), state(expected), **EXACTLY)


@pytest.mark.parametrize("memory", ["bank", "twin bank"])
def test_a_bank_averages_an_image_that_a_step_has_twice(memory):
    ends = [
        state(train(MEMORIES[memory], [size] * (48 // size), accumulate, with_repeats))
        for size, accumulate in ((8, 2), (16, 1))
    ]
    torch.testing.assert_close(*ends, **EXACTLY)


def test_gradients_are_clipped_after_they_are_averaged():
    clipped = f"{MEMORIES['queue']} trainer.gradient_clip_val=0.3"
    ends = [state(train(clipped, *sizes)) for sizes in (([8] * 5, 2), ([16, 16, 8],))]
    torch.testing.assert_close(*ends, **EXACTLY)


def test_a_step_that_an_error_has_cut_off_leaves_no_keys_to_the_next_training():
    def fail(trainer, module, batch, batch_idx):
        if batch_idx == 1:
            raise InterruptedError

    sizes = MEMORIES["queue"], [8] * 5, 2
    trainer, module, data = build_cut(*sizes, on_train_batch_start=fail)
    with pytest.raises(InterruptedError):
        trainer.fit(module, data)
    trainer, fresh, data = build_cut(*sizes)
    fresh.load_state_dict(module.state_dict())
    trainer.fit(fresh, data)
    trainer, _, data = build_cut(*sizes)
    trainer.fit(module, data)
    torch.testing.assert_close(state(module), state(fresh), rtol=0, atol=0)
