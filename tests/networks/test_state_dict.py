"""Two state dicts are compared in one place."""

import pytest
import torch

from ctc_lightning.networks.state_dict import differences


def tensors(**shapes):
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("expected", "found", "said"),
    [
        ({"a": (2, 3), "b": ()}, {"b": (), "a": (2, 3)}, ""),
        ({"a": (2, 3), "b": ()}, {"a": (2, 3)}, "lacks b"),
        ({"a": (2, 3)}, {"a": (2, 3), "b": ()}, "also holds b"),
        ({"a": (2, 3)}, {"a": (3, 2)}, "has a of shape (3, 2) instead of (2, 3)"),
        (
            {"a": (1,), "b": ()},
            {"a": (2,), "c": ()},
            "lacks b; also holds c; has a of shape (2,) instead of (1,)",
        ),
        (dict.fromkeys("abcde", (1,)), {}, "lacks a, b, c and 2 more"),
    ],
)
def test_what_is_missing_too_much_and_of_another_shape(expected, found, said):
    assert differences(tensors(**expected), tensors(**found)) == said
