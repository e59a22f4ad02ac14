"""The network of every method: backbone f, projector g, classifier W."""

# B images, C channels, H height, W width, L classes
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ctc_lightning.checks import count
from ctc_lightning.networks.backbone import create_backbone
from ctc_lightning.networks.eval_mode import evaluating


class Network(nn.Module):
    """f, g and W side by side; logits = W f(x), while the contrast looks at g(f(x)).

    W starts as PyTorch draws an ``nn.Linear``.

    Args:
        backbone: f with an int ``num_features``, (B, C, H, W) to (B, F).
        projector: g, (B, F) to (B, D); None for cross-entropy alone.
        num_classes: L, at least 1.
        channels_last: whether convolution weights lie in memory as NHWC, which is faster on most CPUs and,
            in mixed precision, on GPUs; the numbers stay the same but for rounding.

    Raises:
        ValueError: num_classes below 1.
    """

    def __init__(
        self,
        backbone: nn.Module,
        projector: nn.Module | None,
        num_classes: int,
        *,
        channels_last: bool = False,
    ) -> None:
        count("network", num_classes=num_classes)
        super().__init__()
        self.backbone = backbone
        self.projector = projector
        self.classifier = nn.Linear(cast("int", backbone.num_features), num_classes)
        if channels_last:
            self.to(memory_format=torch.channels_last)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map (B, C, H, W) float images to (B, L) logits."""
        return self.classifier(self.backbone(x_BCHW))


def create_network(
    *,
    backbone: str,
    num_classes: int,
    projector: Callable[[int], nn.Module] | None,
    image_channels: int = 3,
    image_size: int | None = None,
    stem: str | None = None,
    pretrained: bool | str | Path = False,
    channels_last: bool = False,
    backbone_options: dict[str, Any] | None = None,
) -> Network:
    """Build a ``Network`` from names: the target of ``conf/network/*.yaml``.

    Args:
        backbone: ``family/model``, see ``create_backbone``.
        num_classes: L, at least 1.
        projector: makes g from F, e.g. ``partial(LinearProjector, dim=128)``; None for cross-entropy alone.
        image_channels: C, at least 1.
        image_size: H and W, see ``create_backbone``.
        stem: None or ``"cifar"``, see ``create_backbone``.
        pretrained: False, True or a weights file, see ``create_backbone``.
        channels_last: see ``Network``.
        backbone_options: the backbone's own options.

    Raises:
        ValueError: from the parts, for any wrong value.
    """
    f = create_backbone(
        backbone,
        stem=stem,
        pretrained=pretrained,
        image_channels=image_channels,
        image_size=image_size,
        **(backbone_options or {}),
    )
    g = None if projector is None else projector(cast("int", f.num_features))
    return Network(f, g, num_classes, channels_last=channels_last)


def check_images(network: nn.Module, image_shape: tuple[int, ...]) -> None:
    """Show the network two blank images (C, H, W): better now than in the first step.

    Raises:
        ValueError: the network does not take them.
    """
    weight = next(network.parameters())
    try:
        with torch.no_grad(), evaluating(network):
            network(torch.zeros(2, *image_shape, device=weight.device, dtype=weight.dtype))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ValueError(
            f"the network does not take images of shape {image_shape} ({error}); choose another "
            "network.backbone or its options."
        ) from error
