"""The moving average against its formula. B: images, D: projection."""

import pytest
import torch

from ctc_lightning.key_encoder import MomentumEncoder


def built(encoder, momentum=0.9, batch_norm="batch"):
    key_encoder = MomentumEncoder(momentum, batch_norm)
    key_encoder.build(encoder)
    return key_encoder.train()


@pytest.mark.parametrize("batch_norm", ["batch", "running"])
@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.99, 1.0])
def test_weights_follow_the_formula(momentum, batch_norm, encoder, train):
    key_encoder = built(encoder, momentum, batch_norm)
    expected = [p.detach().clone() for p in encoder.parameters()]
    for _ in range(4):
        train(encoder)
        key_encoder.update(encoder)
        expected = [
            momentum * old + (1 - momentum) * p for old, p in zip(expected, encoder.parameters(), strict=True)
        ]
    for parameter, wanted in zip(key_encoder.encoder.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter, wanted, rtol=1e-12, atol=1e-15)


def test_running_statistics_follow_the_formula(encoder, train, view):
    key_encoder = built(encoder, 0.9, "running")
    expected = [part[1].running_var.clone() for part in encoder]  # of the backbone's and the head's BatchNorm
    for _ in range(4):
        train(encoder)
        key_encoder(view, encoder(view))
        key_encoder.update(encoder)
        expected = [
            0.9 * old + 0.1 * part[1].running_var for old, part in zip(expected, encoder, strict=True)
        ]
    for part, wanted in zip(key_encoder.encoder, expected, strict=True):
        torch.testing.assert_close(part[1].running_var, wanted, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("batch_norm", "depends"), [("running", False), ("batch", True)])
def test_whether_a_key_depends_on_the_other_images_of_its_batch(batch_norm, depends, encoder, view):
    key_encoder = built(encoder, batch_norm=batch_norm)
    among_these, among_others = view.clone(), view.clone()
    among_others[1:] += 3
    first, second = (key_encoder(view, None)[0] for view in (among_these, among_others))
    assert torch.allclose(first, second, atol=1e-12) is not depends


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-0.01,), r"momentum is -0.01; it must be at least 0 and at most 1, for example"),
        ((1.5,), r"momentum is 1.5; it must be at least 0 and at most 1, for example"),
        ((0.9, "eval"), "batch_norm is 'eval'; it must be one of 'batch', 'running'"),
    ],
)
def test_wrong_values_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MomentumEncoder(*arguments)
