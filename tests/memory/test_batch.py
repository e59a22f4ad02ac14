"""The memory that is only today's batch."""

import pytest
import torch

from ctc_lightning.memory import BatchMemory


@pytest.mark.parametrize(
    ("exclude", "expected"), [("image", [[5, 9], [4, 9], [4, 5]]), ("class", [[5], [4, 9], [5]])]
)
def test_negatives_are_todays_other_images(exclude, expected, make_batch, who_meets):
    image_B1, batch = torch.tensor([[4.0], [5.0], [9.0]]), make_batch([4, 5, 9], [0, 1, 0])
    keys = BatchMemory(exclude).draw(image_B1, image_B1, batch)
    assert who_meets(keys, 3) == ([4, 5, 9], expected)
    assert keys.num_stored == 3


def test_an_image_that_comes_twice_does_not_meet_itself(make_batch, who_meets):
    image_B1 = torch.tensor([[4.0], [5.0], [4.0]])
    _, negative = who_meets(BatchMemory().draw(image_B1, image_B1, make_batch([4, 5, 4])), 3)
    assert negative == [[5], [4, 4], [5]]


def test_negatives_carry_no_gradient(make_batch):
    key_BD = torch.eye(3, requires_grad=True)
    assert not BatchMemory().draw(key_BD, key_BD, make_batch([0, 1, 2])).row_RD.requires_grad


@pytest.mark.parametrize("exclude", ["none", "label"])
def test_an_exclude_that_keeps_the_positive_is_refused(exclude):
    with pytest.raises(ValueError, match=f"exclude is '{exclude}'; it must be one of 'image', 'class'"):
        BatchMemory(exclude)
