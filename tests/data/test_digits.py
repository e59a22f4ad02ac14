"""Digits: the scans themselves, split without overlap."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from ctc_lightning.data.digits import Digits


@pytest.fixture(scope="module")
def splits():
    data = Digits()
    data.setup()
    assert data.image_shape == (1, 8, 8)
    assert data.num_classes == 2
    return data.image_sets["source"]


def test_the_splits_are_all_scans_once_with_their_digit(splits):
    assert {name: len(s.image) for name, s in splits.items()} == {"train": 900, "val": 297, "test": 600}

    def rows(levels, digits):
        return sorted((x.astype(int).tobytes(), int(y)) for x, y in zip(levels, digits, strict=True))

    scans = load_digits()
    levels = np.concatenate([s.image[:, 0].numpy() for s in splits.values()]).astype(float) * 16 / 255
    digits = np.concatenate([s.labels["digit"].numpy() for s in splits.values()])
    assert rows(np.rint(levels), digits) == rows(scans.images, scans.target)


def test_levels_span_the_bytes(splits):
    image = torch.cat([s.image for s in splits.values()])
    assert image.dtype == torch.uint8
    assert sorted(image.unique().tolist()) == [round(level * 255 / 16) for level in range(17)]


def test_splits_are_stratified_and_labelled_with_parity(splits):
    counts = np.bincount(load_digits().target)
    for images in splits.values():
        share = torch.bincount(images.labels["digit"], minlength=10).numpy() / len(images.image)
        np.testing.assert_allclose(share, counts / counts.sum(), atol=1.5 / len(images.image))
        assert torch.equal(images.labels["source"], images.labels["digit"] % 2)


def test_split_seed_draws_the_splits(splits):
    def test_images(**options):
        data = Digits(**options)
        data.setup()
        return data.image_sets["source"]["test"].image

    assert torch.equal(test_images(), splits["test"].image)
    assert torch.equal(test_images(num_train=100, num_val=50, batch_size=10), splits["test"].image)
    assert not torch.equal(test_images(split_seed=1), splits["test"].image)


@pytest.mark.parametrize(
    ("option", "word"),
    [
        ({"num_train": 901}, "1798"),
        ({"num_val": 9}, "num_val is 9"),
        ({"split_seed": -1}, "split_seed is -1"),
        ({"source_label": "fine"}, "source, digit"),
    ],
)
def test_refuses_what_the_scans_cannot_give(option, word):
    with pytest.raises(ValueError, match=word):
        Digits(**option)
