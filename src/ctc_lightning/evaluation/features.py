"""Frozen features of many images. N: images, F: features, W: ranks."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ctc_lightning.batch import Batch
from ctc_lightning.distributed import gather


@torch.no_grad()
def extract_features(
    backbone: nn.Module, batches: Iterable[Batch], device: torch.device
) -> tuple[Tensor, Tensor]:
    """H = f(x) for every image, each rank its share; the backbone must be in eval mode.

    Args:
        backbone: f; images are cast to its dtype.
        batches: this rank's share of the N images, on ``device``.
        device: where f is.

    Returns:
        (N, F) in the backbone's dtype and (N,) int64, the ``index`` of each, ascending; on ``device`` and
        identical on every rank. An image that stands in for an unreadable one is there twice.

    Raises:
        Exception: what a batch raised; on every rank, so that none waits for another.
    """
    assert not backbone.training, "features of a backbone in train mode depend on the batch"
    dtype = next((weight.dtype for weight in backbone.parameters()), torch.float32)
    features = [torch.empty(0, backbone.num_features, dtype=dtype, device=device)]  # type: ignore[call-overload]
    order = [torch.empty(0, dtype=torch.int64, device=device)]
    failure: Exception | None = None
    try:
        for batch in batches:
            features.append(backbone(batch.view.to(dtype)))
            order.append(batch.index)
    except Exception as error:  # noqa: BLE001  # raised again below
        failure = error
    (failed_W,) = gather(torch.tensor([failure is not None], dtype=torch.int64, device=device))
    if failed_W.any():
        raise failure or RuntimeError("another process could not compute its share of the features.")
    h_NF, index_N = gather(torch.cat(features), torch.cat(order))
    index_N, order_N = index_N.sort(stable=True)
    return h_NF[order_N], index_N
