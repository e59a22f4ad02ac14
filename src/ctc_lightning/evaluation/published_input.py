"""What the published weights of a backbone expect to see."""

from collections.abc import Sequence
from typing import Any, get_args

import timm
from timm.data import resolve_data_config

from ctc_lightning.checks import count
from ctc_lightning.data.file_batches import Interpolation
from ctc_lightning.data.network_input import NetworkInput

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_SIZE = 224


def published_input(
    backbone: str,
    *,
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> NetworkInput:
    """Size and statistics of a timm model's own configuration, of torchvision's usual ones, or as given.

    Args:
        backbone: ``family/model``, see `create_backbone`.
        image_size: None: the published one.
        mean: of each of C channels, in units of [0, 1]; None: the published one.
        std: likewise.

    Raises:
        ValueError: nothing is published for the family and something is not given; a size below 1; a mean
            and a standard deviation of different numbers of channels.
    """
    family = backbone.partition("/")[0]
    given = {"image_size": image_size, "mean": mean, "std": std}
    lacking = [f"input.{name}" for name, value in given.items() if value is None]
    if family not in {"timm", "torchvision"} and lacking:
        raise ValueError(
            f"{backbone} has no published weights, so nothing says what it expects to see; give "
            f"{', '.join(lacking)}."
        )
    known = {"input_size": (3, _SIZE, _SIZE), **_IMAGENET, **_published(backbone)}
    size = known["input_size"][-1] if image_size is None else image_size
    mean = tuple(known["mean"] if mean is None else mean)
    std = tuple(known["std"] if std is None else std)
    count("input", example=224, image_size=size)
    if not mean or len(mean) != len(std):
        raise ValueError(
            f"input.mean has {len(mean)} values and input.std {len(std)}, must be one for each channel: give "
            "both."
        )
    return NetworkInput((len(mean), size, size), mean, std)


def published_fit(backbone: str) -> dict[str, Any]:
    """How a timm model's images were cut for its published accuracy: ``crop_share`` and ``interpolation``.

    Empty where that is not known, or is none of the interpolations that there are here.
    """
    published = _published(backbone)
    if published.get("interpolation") not in get_args(Interpolation):
        return {}
    return {"crop_share": published["crop_pct"], "interpolation": published["interpolation"]}


def _published(backbone: str) -> dict[str, Any]:
    family, _, model = backbone.partition("/")
    published = timm.get_pretrained_cfg(model) if family == "timm" else None
    return {} if published is None else resolve_data_config(pretrained_cfg=published.to_dict())
