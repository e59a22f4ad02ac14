"""Frozen features of many images. N: images, F: features."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ctc_lightning.distributed import gather, rank, world_size


@torch.no_grad()
def extract_features(
    backbone: nn.Module,
    image_NCHW: Tensor,
    standardise: Callable[[Tensor], Tensor],
    device: torch.device,
    batch_size: int = 500,
) -> Tensor:
    """H = f(x) for every image, each rank its share; the backbone must be in eval mode.

    Args:
        backbone: f, with at least one parameter; images are cast to its dtype.
        image_NCHW: (N, C, H, W) uint8.
        standardise: uint8 images to the float images that f expects.
        device: where f is.
        batch_size: images at a time.

    Returns:
        (N, F) in the backbone's dtype on ``device``, complete and identical on every rank.
    """
    assert not backbone.training, "features of a backbone in train mode depend on the batch"
    begins = range(0, len(image_NCHW), batch_size)
    mine = [begin for number, begin in enumerate(begins) if number % world_size() == rank()]
    dtype = next(backbone.parameters()).dtype
    empty = torch.empty(0, backbone.num_features, dtype=dtype, device=device)  # type: ignore[call-overload]
    order = [torch.empty(0, dtype=torch.int64, device=device)]
    features = [empty]
    for begin in mine:
        chunk = image_NCHW[begin : begin + batch_size]
        features.append(backbone(standardise(chunk.to(device)).to(dtype)))
        order.append(torch.arange(begin, begin + len(chunk), device=device))
    h_NF, index_N = gather(torch.cat(features), torch.cat(order))
    return h_NF[index_N.argsort()]
