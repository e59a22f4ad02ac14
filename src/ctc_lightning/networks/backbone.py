"""Backbones by name: one entry for the CIFAR networks, timm and torchvision."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import nn

from ctc_lightning.checks import count, one_of
from ctc_lightning.networks import cifar, from_timm, from_torchvision
from ctc_lightning.networks.weights import load_weights

_FAMILIES = {
    "cifar": (cifar.names, cifar.build),
    "timm": (from_timm.names, from_timm.build),
    "torchvision": (from_torchvision.names, from_torchvision.build),
}


def create_backbone(
    name: str,
    *,
    stem: str | None = None,
    pretrained: bool | str | Path = False,
    image_channels: int = 3,
    image_size: int | None = None,
    **options: Any,
) -> nn.Module:
    """Build f: (B, C, H, W) float images to (B, F) float pooled features, without a classifier.

    Args:
        name: ``family/model``: ``cifar/resnet8``, ``timm/resnet50``, ``torchvision/resnet18``.
        stem: ``"cifar"`` puts a 3x3 stride-1 convolution without max-pool before a timm or torchvision
            ResNet; None keeps the network's own stem.
        pretrained: True loads the library's published weights (before the stem is replaced); a path loads
            a local file into the finished backbone, its stem included (see ``load_weights``).
        image_channels: C, at least 1.
        image_size: H and W, for the models that are made for one size (ViTs); None: their own.
        options: the model's own constructor options, e.g. ``stem_stride=2`` for ``cifar/resnet8`` or
            ``drop_path_rate=0.1`` for ``timm/convnext_tiny``.

    Returns:
        The backbone; its int attribute ``num_features`` is F.

    Raises:
        ValueError: unknown name, stem or option, a stem or weights that the model cannot have, or a
            weights file that does not fit.
    """
    check_name(name)
    family, _, model = name.partition("/")
    one_of("backbone", ["cifar"], null=True, stem=stem)
    count("backbone", example=3, image_channels=image_channels)
    build = _FAMILIES[family][1]
    try:
        backbone = build(
            model,
            stem=stem,
            pretrained=pretrained is True,
            image_channels=image_channels,
            image_size=image_size,
            **options,
        )
    except OSError as error:
        raise ValueError(
            f"the published weights of {name} cannot be downloaded ({_reason(error)}); check the network "
            "and the room in its cache, or download them elsewhere and give network.pretrained=FILE."
        ) from error
    except TypeError as error:
        if not options:
            raise
        raise ValueError(
            f"{name} does not take the backbone options {options} ({error}): "
            f"leave them out, on the command line by network=any network.backbone={name}"
        ) from error
    if not isinstance(pretrained, bool):
        load_weights(backbone, Path(pretrained))
    return backbone


def check_name(name: str) -> None:
    """Refuse a name that `create_backbone` does not know.

    Raises:
        ValueError: with the nearest names.
    """
    family, _, model = name.partition("/")
    if family not in _FAMILIES or model not in _FAMILIES[family][0]():
        raise ValueError(_unknown(name))


def _reason(error: BaseException) -> str:
    """The system's words on a failed download, without the libraries' advice."""
    while before := getattr(error, "reason", None) or error.__cause__ or error.__context__:
        if not isinstance(before, BaseException):
            break
        error = before
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__


def _unknown(name: str) -> str:
    known = [f"{family}/{model}" for family, (names, _) in _FAMILIES.items() for model in names()]
    nearest = get_close_matches(name, known, cutoff=0.5)
    remedy = f"the nearest are {', '.join(nearest)}" if nearest else f"families are {', '.join(_FAMILIES)}"
    return f"there is no backbone {name!r}, a name is family/model; {remedy}"
