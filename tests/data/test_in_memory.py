"""The data module: views, epochs, ranks and random state, on images whose pixels tell their origin."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_lightning.plugins.precision import Precision
from scipy.stats import chisquare

from ctc_lightning.data.augmentation import Identity, RandomCrop
from ctc_lightning.data.image_set import ImageSet
from ctc_lightning.data.in_memory import InMemoryDataModule

LOADERS = ["train_dataloader", "val_dataloader", "test_dataloader", "memory_dataloader"]


class Ramps(InMemoryDataModule):
    """Channels: 20 times the row, 20 times the column, the image's own number. A crop shows its offset."""

    source_labels = ("source",)
    targets = {}  # noqa: RUF012 (a class variable, as the base declares)

    def __init__(self, num_train=100, **options):
        super().__init__(name="ramps", num_train=num_train, source_label="source", **options)
        self.made = 0

    def make(self):
        self.made += 1
        return {
            "source": {"train": self.ramps(self.num_images), "val": self.ramps(30), "test": self.ramps(50)}
        }

    def ramps(self, num):
        ramp = 20 * torch.arange(8)
        image = torch.empty(num, 3, 8, 8, dtype=torch.uint8)
        image[:, 0], image[:, 1] = ramp[:, None], ramp
        image[:, 2] = torch.arange(num)[:, None, None]
        return ImageSet(image, {"source": torch.arange(num) % 5})


def make(**options):
    data = Ramps(**options)
    data.setup()
    return data


def batches(data, loader="train_dataloader", epoch=0):
    loader = getattr(data, loader)()
    loader.sampler.set_epoch(epoch)
    return [data.on_after_batch_transfer(samples, 0) for samples in loader]


def pixels(data, view):
    """Undo the standardisation."""
    return torch.round((view * data.std[:, None, None] + data.mean[:, None, None]) * 255).long()


def offsets(data, view):
    """(B, 2) the shift of every image, read off its middle pixel."""
    return pixels(data, view)[:, :2, 4, 4] // 20 - 4


def same(one, other):
    return all(torch.equal(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True))


# ----------------------------------------------------------------------------------------- standardisation


def test_standardised_training_images_have_mean_0_and_std_1():
    data = make()
    image = data.standardise(data.image_sets["source"]["train"].image)
    assert image.dtype == torch.float32
    assert image.is_contiguous(memory_format=torch.channels_last)
    assert image.mean((0, 2, 3)).tolist() == pytest.approx([0] * 3, abs=1e-5)
    assert image.std((0, 2, 3), correction=0).tolist() == pytest.approx([1] * 3, abs=1e-5)


def test_test_images_are_standardised_by_the_training_statistics():
    data = make()
    image = data.image_sets["source"]["test"].image
    expected = (image.double() / 255 - data.mean[:, None, None]) / data.std[:, None, None]
    torch.testing.assert_close(data.standardise(image).double(), expected, atol=1e-5, rtol=0)


def test_a_constant_channel_is_refused():
    data = Ramps(num_train=1, batch_size=1)
    with pytest.raises(ValueError, match="never changes"):
        data.setup()


# ---------------------------------------------------------------------------------------------------- views


def test_set_up_once():
    data = make()
    data.setup("fit")
    data.setup("test")
    assert data.made == 1
    assert (data.name, data.num_classes, data.num_images, data.image_shape) == ("ramps", 5, 100, (3, 8, 8))


def test_a_batch_is_images_labels_and_rows_that_belong_together():
    data = make(batch_size=8)
    train = data.image_sets["source"]["train"]
    for loader in LOADERS:
        for batch in batches(data, loader):
            assert torch.equal(pixels(data, batch.view)[:, 2, 0, 0], batch.index)
            assert torch.equal(batch.label, train.labels["source"][batch.index])
            assert batch.index.dtype == batch.label.dtype == torch.int64
            assert batch.view.dtype == batch.key_view.dtype == torch.float32
            assert batch.view.is_contiguous(memory_format=torch.channels_last)


def test_without_key_augmentation_the_key_sees_the_very_same_tensor():
    data = make(augmentation=RandomCrop(2))
    for loader in LOADERS:
        for batch in batches(data, loader):
            assert batch.key_view is batch.view


def test_the_two_views_are_cropped_independently():
    data = make(num_train=250, batch_size=50, augmentation=RandomCrop(1), key_augmentation=RandomCrop(1))
    pairs = torch.zeros(9, 9)
    for epoch in range(30):
        for batch in batches(data, epoch=epoch):
            query, key = (
                3 * (o[:, 0] + 1) + o[:, 1] + 1
                for o in (offsets(data, v) for v in (batch.view, batch.key_view))
            )
            pairs.index_put_((query, key), torch.ones(50), accumulate=True)
    assert pairs.sum() == 30 * 250
    assert chisquare(pairs.flatten()).pvalue > 1e-3


def test_crops_are_independent_across_batches_and_epochs():
    data = make(augmentation=RandomCrop(2), batch_size=50)
    shifts = [
        offsets(data, batch.view).flatten().tolist() for e in range(3) for batch in batches(data, epoch=e)
    ]
    assert len({str(s) for s in shifts}) == 6


def test_the_query_s_view_does_not_depend_on_the_key_s():
    one = batches(make(augmentation=RandomCrop(2), key_augmentation=RandomCrop(2)))
    other = batches(make(augmentation=RandomCrop(2)))
    assert all(torch.equal(a.view, b.view) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("loader", "split"), [("val_dataloader", "val"), ("test_dataloader", "test")])
def test_evaluation_shows_every_image_once_as_it_is(loader, split):
    data = make(augmentation=RandomCrop(2), key_augmentation=RandomCrop(2), eval_batch_size=7)
    seen = batches(data, loader)
    images = data.image_sets["source"][split]
    assert torch.equal(torch.cat([b.index for b in seen]), torch.arange(len(images.image)))
    assert torch.equal(torch.cat([pixels(data, b.view) for b in seen]), images.image.long())
    assert all(b.key_view is b.view and len(b.index) <= 7 for b in seen)


def test_memory_loader_shows_every_training_image_once_in_order_under_the_key_s_augmentation():
    data = make(augmentation=Identity(), key_augmentation=RandomCrop(2), batch_size=64)
    seen = batches(data, "memory_dataloader")
    assert torch.equal(torch.cat([b.index for b in seen]), torch.arange(100))
    assert torch.cat([offsets(data, b.key_view) for b in seen]).unique().tolist() == [-2, -1, 0, 1, 2]
    assert not torch.equal(
        seen[0].key_view, batches(data, "memory_dataloader", epoch=1)[0].key_view
    )  # another draw


# ------------------------------------------------------------------------------------- epochs, ranks, seeds


def test_any_epoch_can_be_had_again_without_the_earlier_ones():
    options = {"augmentation": RandomCrop(2), "key_augmentation": RandomCrop(2), "batch_size": 16, "seed": 4}
    data = make(**options)
    walked = [batches(data, epoch=e) for e in range(3)]
    assert same(batches(make(**options), epoch=2), walked[2])
    assert not same(walked[1], walked[2])
    assert not same(batches(make(**{**options, "seed": 5}), epoch=2), walked[2])


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("loader", LOADERS)
def test_ranks_share_an_epoch(loader, drop_last):
    """Three ranks of 8 see, batch for batch, the rows that one rank of 24 sees."""
    one = batches(make(batch_size=24, eval_batch_size=24, drop_last=drop_last), loader)
    ranks = []
    for rank in range(3):
        data = make(batch_size=8, eval_batch_size=8, drop_last=drop_last)
        data.trainer = SimpleNamespace(world_size=3, global_rank=rank, precision_plugin=Precision())
        ranks.append(batches(data, loader))
    for batch, *parts in zip(one, *ranks, strict=True):
        assert torch.equal(torch.cat([part.index for part in parts]), batch.index)


@pytest.mark.parametrize("loader", LOADERS)
def test_no_loader_touches_the_global_random_state(loader):
    data = make(augmentation=RandomCrop(2), key_augmentation=RandomCrop(2))

    def state():
        return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()  # noqa: NPY002

    before = state()
    first = batches(data, loader)
    assert state() == before
    torch.manual_seed(1), np.random.seed(1), random.seed(1)  # noqa: NPY002
    assert same(batches(data, loader), first)


@pytest.mark.parametrize(
    ("option", "word"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"eval_batch_size": 0}, "eval_batch_size is 0"),
        ({"batch_size": 101}, "101; it must be at most the 100"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_refuses_wrong_options(option, word):
    with pytest.raises(ValueError, match=word):
        Ramps(**option)


def test_a_batch_larger_than_the_data_is_all_of_them_when_nothing_is_dropped():
    (batch,) = batches(make(batch_size=101, drop_last=False))
    assert batch.index.sort().values.tolist() == list(range(100))
