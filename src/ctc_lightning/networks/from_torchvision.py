"""torchvision's classification networks as backbones."""

from typing import Any

import torchvision.models
from timm.models import adapt_input_conv
from torch import nn

from ctc_lightning.networks.cifar_stem import replace_stem

_NUM_CLASSES = 1000
# Two return auxiliary logits while training, two have no linear classifier.
_UNFIT = {"googlenet", "inception_v3", "squeezenet1_0", "squeezenet1_1"}


def names() -> list[str]:
    """List the models of family ``torchvision``."""
    return [name for name in torchvision.models.list_models(torchvision.models) if name not in _UNFIT]


def build(
    model: str,
    *,
    stem: str | None,
    pretrained: bool,
    image_channels: int,
    image_size: int | None = None,
    **options: Any,
) -> nn.Module:
    """Build a network without its last linear layer and the dropout before it.

    Weights start as torchvision draws them. Where C is not 3 and the stem stays, the first convolution's
    filters are adapted as in timm: summed for C = 1, so that a grey image gives what its RGB copy gave, else
    repeated and rescaled. ViTs without published weights are made for ``image_size``.
    """
    if image_size is not None and not pretrained and model.startswith("vit_"):
        options = {"image_size": image_size, **options}
    weights = "DEFAULT" if pretrained else None
    network = torchvision.models.get_model(model, weights=weights, num_classes=_NUM_CLASSES, **options)
    network.num_features = _remove_classifier(network)
    if stem == "cifar":
        replace_stem(network, image_channels)
    else:
        _adapt_input(network, image_channels)
    return network


def _remove_classifier(network: nn.Module) -> int:
    path, classifier = [(p, m) for p, m in network.named_modules() if isinstance(m, nn.Linear)][-1]
    network.set_submodule(path, nn.Identity())
    head = network.get_submodule(path.rpartition(".")[0])
    if isinstance(head, nn.Sequential) and len(head) > 1 and isinstance(head[-2], nn.Dropout):
        head[-2] = nn.Identity()
    return classifier.in_features


def _adapt_input(network: nn.Module, image_channels: int) -> None:
    conv = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    if conv.in_channels != image_channels:
        conv.weight = nn.Parameter(adapt_input_conv(image_channels, conv.weight.detach()))
        conv.in_channels = image_channels
