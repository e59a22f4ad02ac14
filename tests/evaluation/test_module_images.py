"""Images for protocols that train: every image once, or shuffled views; a network of one's own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ctc_lightning.data import Digits, RandomCrop
from ctc_lightning.data.network_input import NetworkInput
from ctc_lightning.data.shards import ShardFiles
from ctc_lightning.evaluation.module_images import ModuleImages

SIZES = {"train": 40, "val": 20, "test": 30}
CPU = torch.device("cpu")


@pytest.fixture
def data():
    data = Digits(
        num_train=40,
        num_val=20,
        num_test=30,
        batch_size=20,
        eval_batch_size=17,
        augmentation=RandomCrop(pad=2),
    )
    data.setup()
    return data


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.BatchNorm1d(5))


@pytest.fixture
def images(data, network):
    return ModuleImages(network, data, "source", "digit", CPU)


def together(batches):
    views, labels = zip(*batches, strict=True)
    return torch.cat(views), torch.cat(labels)


@pytest.mark.parametrize("batch_size", [None, 1, 7, 1000])
@pytest.mark.parametrize("split", SIZES)
def test_every_image_once_in_order_as_it_is(split, batch_size, images, data):
    of_split = data.image_sets["source"][split]
    batches = list(images.batches(split, batch_size=batch_size))
    assert max(len(view) for view, _ in batches) <= (batch_size or 17)
    view, label = together(batches)
    torch.testing.assert_close(view, data.standardise(of_split.image))
    assert torch.equal(label, of_split.labels["digit"])


def test_trainval_is_train_and_then_val(images, data):
    view, label = together(images.batches("trainval"))
    train, val = (data.image_sets["source"][split] for split in ("train", "val"))
    torch.testing.assert_close(view, data.standardise(torch.cat([train.image, val.image])))
    assert torch.equal(label, torch.cat([train.labels["digit"], val.labels["digit"]]))
    again, _ = together(images.batches("trainval"))
    assert torch.equal(again, view)


def test_training_batches_are_full_augmented_and_another_draw_each_epoch(images, data):
    def epoch(number):
        return list(images.batches("train", batch_size=12, train=True, epoch=number))

    first, again, second = epoch(0), epoch(0), epoch(1)
    assert [len(view) for view, _ in first] == [12, 12, 12]  # 4 of the 40 are left out
    for (view, label), (same_view, same_label) in zip(first, again, strict=True):
        assert torch.equal(view, same_view)
        assert torch.equal(label, same_label)
    assert not torch.equal(together(first)[1], together(second)[1])
    plain = data.standardise(data.image_sets["source"]["train"].image)
    of_first = together(first)[0]
    as_they_are = (of_first[:, None] == plain[None]).flatten(2).all(2).any(1)
    assert as_they_are.float().mean() < 0.5  # one shift in 25 leaves an image as it is


def test_labels_go_with_their_views(network):
    """Without augmentation each view of a shuffled batch is an image of its label."""
    data = Digits(num_train=40, num_val=20, num_test=30, batch_size=20)
    data.setup()
    images = ModuleImages(network, data, "source", "digit", CPU)
    train = data.image_sets["source"]["train"]
    plain = data.standardise(train.image)
    view, label = together(images.batches("train", batch_size=10, train=True))
    row = (view[:, None] == plain[None]).flatten(2).all(2).long().argmax(1)
    assert sorted(row.tolist()) == list(range(40))
    assert row.tolist() != list(range(40))
    assert torch.equal(label, train.labels["digit"][row])


def test_a_training_batch_has_at_most_as_many_images_as_there_are(images):
    assert [len(view) for view, _ in images.batches("val", batch_size=64, train=True)] == [20]


def test_views_look_as_the_network_expects(images, data):
    data.show_as(NetworkInput((3, 16, 16), (0.5,) * 3, (0.5,) * 3))
    for train in (False, True):
        view, _ = next(images.batches("test", batch_size=4, train=train))
        assert view.shape == (4, 3, 16, 16)
        assert view.dtype == torch.float32
        assert (view[:, 0] == view[:, 2]).all()


def test_several_classes_an_image_come_as_rows(images, data):
    label_NL = torch.randint(-1, 2, (30, 4), dtype=torch.int8)
    data.image_sets["source"]["test"].labels["digit"] = label_NL
    _, label = together(images.batches("test"))
    assert torch.equal(label, label_NL)


def test_each_copy_of_the_network_is_ones_own(images, network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first, second = images.backbone(), images.backbone()
    assert not first.training
    assert network.training
    with torch.no_grad():
        first[1].weight.zero_()
    first.train()(torch.randn(8, 1, 8, 8))
    for other in (network, second):
        for name, tensor in other.state_dict().items():
            assert torch.equal(tensor, before[name]), name


def test_no_global_random_number_is_drawn(images, global_randomness_untouched):
    for train in (False, True):
        list(images.batches("train", batch_size=8, train=train))


def test_images_in_shards_are_refused_before_anything_is_learnt(images, data):
    of_train = data.image_sets["source"]["train"]
    nowhere, at = np.zeros(0, np.bytes_), np.arange(len(of_train))
    shards = ShardFiles(
        Path(), nowhere, of_train.labels, url="s3://x", split="train", position=at, images_a_shard=9
    )
    data.image_sets = {"source": {**data.image_sets["source"], "train": shards}}
    with pytest.raises(ValueError, match="the images in s3://x are shards"):
        next(images.batches("train", batch_size=8, train=True))
