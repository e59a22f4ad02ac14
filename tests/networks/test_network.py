"""Network(f, g, W): composition, exact copies, memory format."""

from copy import deepcopy
from functools import partial

import pytest
import torch

from ctc_lightning.networks import LinearProjector, MLPProjector, create_network

IMAGES = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
create = partial(
    create_network, backbone="cifar/resnet8", num_classes=7, projector=partial(LinearProjector, dim=16)
)


def test_logits_are_the_classifier_of_the_backbone():
    network = create().eval()
    assert network(IMAGES).shape == (4, 7)
    torch.testing.assert_close(network(IMAGES), network.classifier(network.backbone(IMAGES)))


def test_projector_is_completed_with_the_number_of_features():
    network = create(backbone_options={"stem_stride": 2})
    assert network.projector(network.backbone(IMAGES)).shape == (4, 16)


def test_cross_entropy_needs_no_projector():
    network = create(projector=None)
    assert network.projector is None
    assert network(IMAGES).shape == (4, 7)


@pytest.mark.parametrize(
    "backbone", ["cifar/resnet8", "cifar/wrn_16_1", "cifar/shufflenet_v1", "timm/resnet18"]
)
@pytest.mark.parametrize("channels_last", [True, False])
def test_a_deep_copy_is_exact_and_apart(backbone, channels_last):
    network = create(
        backbone=backbone,
        projector=partial(MLPProjector, dim=16, batch_norm=True),
        channels_last=channels_last,
    )
    network(IMAGES)  # moves BatchNorm's statistics off their start
    copy = deepcopy(network)
    ours, theirs = network.state_dict(), copy.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert {t.data_ptr() for t in ours.values()}.isdisjoint(t.data_ptr() for t in theirs.values())
    with torch.no_grad():
        assert torch.equal(network.eval()(IMAGES), copy.eval()(IMAGES))


@pytest.mark.parametrize(
    "backbone", ["cifar/resnet8", "cifar/resnext32_16x4d", "cifar/shufflenet_v1", "cifar/wrn_16_1"]
)
def test_channels_last_changes_nothing_but_memory(backbone):
    contiguous = create(backbone=backbone)
    channels_last = create(backbone=backbone, channels_last=True)
    channels_last.load_state_dict(contiguous.state_dict())
    weights = [p for p in channels_last.parameters() if p.dim() == 4]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)
    with torch.no_grad():
        torch.testing.assert_close(
            channels_last.eval()(IMAGES), contiguous.eval()(IMAGES), rtol=1e-5, atol=1e-5
        )


def test_the_seed_decides_the_weights():
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in create().parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_no_class_is_refused():
    with pytest.raises(ValueError, match="num_classes is 0; it must be a whole number of at least 1"):
        create(num_classes=0)
