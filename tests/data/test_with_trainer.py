"""The data modules in a real Lightning run: what arrives, and what arrives after a resume."""

import pytest
import pytorch_lightning as pl
import torch

from ctc_lightning.batch import Batch
from ctc_lightning.data.augmentation import RandomCrop
from ctc_lightning.data.digits import Digits


class Recorder(pl.LightningModule):
    """Learns nothing worth having and keeps every batch it was given."""

    def __init__(self):
        super().__init__()
        self.classifier = torch.nn.Linear(64, 2)
        self.seen = {"train": [], "val": [], "test": []}

    def keep(self, split, batch):
        assert isinstance(batch, Batch)
        self.seen[split].append((self.current_epoch, batch))

    def training_step(self, batch, batch_idx):
        self.keep("train", batch)
        return torch.nn.functional.cross_entropy(self.classifier(batch.view.flatten(1)), batch.label)

    def validation_step(self, batch, batch_idx):
        self.keep("val", batch)

    def test_step(self, batch, batch_idx):
        self.keep("test", batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def digits():
    return Digits(
        num_train=100,
        num_val=30,
        num_test=20,
        batch_size=32,
        augmentation=RandomCrop(1),
        key_augmentation=RandomCrop(1),
    )


def trainer(max_epochs, tmp_path):
    return pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=max_epochs,
        use_distributed_sampler=False,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=1,
        default_root_dir=tmp_path,
    )


def equal(one, other):
    return len(one) == len(other) and all(
        e == f and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
        for (e, a), (f, b) in zip(one, other, strict=True)
    )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    module = Recorder()
    trainer(4, tmp_path_factory.mktemp("run")).fit(module, datamodule=digits())
    return module.seen


def test_the_trainer_sees_each_epoch_as_the_data_module_gives_it(uninterrupted):
    data = digits()
    data.setup()
    loader = data.train_dataloader()
    expected = []
    for epoch in range(4):
        loader.sampler.set_epoch(epoch)
        expected += [(epoch, data.on_after_batch_transfer(samples, 0)) for samples in loader]
    assert len(expected) == 4 * 3
    assert equal(uninterrupted["train"], expected)


def test_validation_sees_the_whole_split_every_epoch(uninterrupted):
    for epoch in range(4):
        rows = torch.cat(
            [batch.index for e, batch in uninterrupted["val"][1:] if e == epoch]
        )  # [0]: sanity check
        assert rows.tolist() == list(range(30))


@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_run_sees_what_the_uninterrupted_one_sees(stop, uninterrupted, tmp_path):
    first = trainer(stop, tmp_path)
    first.fit(Recorder(), datamodule=digits())
    first.save_checkpoint(tmp_path / "stopped.ckpt")
    module = Recorder()
    trainer(4, tmp_path).fit(module, datamodule=digits(), ckpt_path=tmp_path / "stopped.ckpt")
    assert equal(module.seen["train"], [(e, b) for e, b in uninterrupted["train"] if e >= stop])


def test_the_test_loop_sees_the_test_split(tmp_path):
    module = Recorder()
    data = digits()
    trainer(1, tmp_path).test(module, datamodule=data, verbose=False)
    batch = Batch(*(torch.cat(parts) for parts in zip(*(b for _, b in module.seen["test"]), strict=True)))
    images = data.image_sets["source"]["test"]
    assert torch.equal(batch.view, data.standardise(images.image))
    assert torch.equal(batch.label, images.labels["source"])
