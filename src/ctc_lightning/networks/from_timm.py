"""timm's networks as backbones."""

from typing import Any

import timm
from torch import nn

from ctc_lightning.networks.cifar_stem import replace_stem


def names() -> list[str]:
    """List the models of family ``timm``, with and without a tag that names pretrained weights.

    The ``_enc`` encoders put out maps, not pooled features, and are left out.
    """
    return [name for name in timm.list_models() + timm.list_pretrained() if "_enc" not in name]


def build(
    model: str,
    *,
    stem: str | None,
    pretrained: bool,
    image_channels: int,
    image_size: int | None = None,
    **options: Any,
) -> nn.Module:
    """Build ``timm.create_model(model, num_classes=0)``; weights start as timm draws them.

    Models that are made for one size of image, as ViTs are, are made for ``image_size``.
    """
    if options.get("features_only") or options.get("global_pool") == "":
        raise ValueError(
            f"timm/{model} must put out pooled features: leave features_only and global_pool unset"
        )
    if dropped := [option for option, value in options.items() if value is None]:
        raise ValueError(f"timm ignores options that are null: leave out {', '.join(dropped)}")
    if pretrained and not timm.is_model_pretrained(model):
        raise ValueError(f"timm/{model} has no published weights: set pretrained to false or a file's path")
    published = timm.get_pretrained_cfg(model)
    if image_size is not None and published is not None and published.fixed_input_size:
        options = {"img_size": image_size, **options}
    network = timm.create_model(
        model, pretrained=pretrained, num_classes=0, in_chans=image_channels, **options
    )
    # timm's num_features is the width before the head's own layers, as in MobileNetV3.
    network.num_features = network.head_hidden_size
    if stem == "cifar":
        replace_stem(network, image_channels)
    return network
