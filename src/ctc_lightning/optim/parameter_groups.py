"""Which parameters are decayed, and what the learning rate becomes with the global batch."""

from typing import Any

from torch import nn


def parameter_groups(module: nn.Module, *, decay_norm_and_bias: bool) -> list[Any]:
    """The trainable parameters for an optimizer.

    Args:
        module: whose.
        decay_norm_and_bias: True: one group, all decayed. False: parameters with fewer than two dimensions
            (biases, and the scale and shift of BatchNorm, LayerNorm, …) are a second group with weight decay
            0, as in Goyal et al. 2017, arXiv 1706.02677, section 5.3.

    Returns:
        What a ``torch.optim.Optimizer`` takes.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if decay_norm_and_bias:
        return trained
    decayed = [parameter for parameter in trained if parameter.ndim > 1]
    spared = [parameter for parameter in trained if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": spared, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def scaled_lr(lr: float, global_batch: int | None, base_batch: int | None) -> float:
    """Lr · B/B₀, B images in an optimizer step of all ranks together (arXiv 1706.02677, section 2.1).

    Args:
        lr: of a batch of B₀.
        global_batch: B = images of a rank's batch × ranks × accumulated batches; None: not known.
        base_batch: B₀ >= 1; None: lr as it is.

    Raises:
        ValueError: B₀ < 1, or B is not known.
    """
    if base_batch is None:
        return lr
    if base_batch < 1:
        raise ValueError(
            f"optim.lr_base_batch is {base_batch}; give the global batch that optim.optimizer.lr is meant "
            "for, 256 for example, or null for an lr as it is."
        )
    if global_batch is None:
        raise ValueError(
            f"optim.lr_base_batch is {base_batch}, but the training loader does not know its batch size; use "
            "a DataLoader with batch_size, or set optim.lr_base_batch=null."
        )
    return lr * global_batch / base_batch
