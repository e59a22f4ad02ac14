"""The network's moving average as the past. B: images, D: projection."""

from copy import deepcopy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ctc_lightning.checks import in_range, one_of
from ctc_lightning.key_encoder.protocol import KeyEncoder


class MomentumEncoder(KeyEncoder):
    """θ' ← μ θ' + (1 − μ) θ after every optimizer step; k = normalise(g'(f'(x))).

    Args:
        momentum: μ in [0, 1]; 0 is the query network one step ago, 1 never moves.
        batch_norm: ``batch``: the key network normalises by its own batch's statistics (train mode).
            ``running``: it normalises by running statistics that follow the query network's by the same
            average (eval mode), so that nothing leaks between the images of a batch.

    Raises:
        ValueError: ``momentum`` outside [0, 1] or an unknown ``batch_norm``.

    Source: He et al. 2020, arXiv 1911.05722, section 3.2. Unlike there, a head is averaged too, starts as
    an exact copy, and BatchNorm's buffers are not left behind.
    """

    encoder: nn.Sequential

    def __init__(self, momentum: float, batch_norm: Literal["batch", "running"] = "batch") -> None:
        super().__init__()
        in_range("key encoder", "[0, 1]", example=0.99, momentum=momentum)
        one_of("key encoder", ("batch", "running"), batch_norm=batch_norm)
        self.momentum = momentum
        self.batch_norm = batch_norm

    def build(self, encoder: nn.Sequential) -> None:
        """Copy the encoder exactly, head and buffers included."""
        self.encoder = deepcopy(encoder).requires_grad_(requires_grad=False)
        self.train(self.training)

    def begin(self, encoder: nn.Sequential) -> None:
        """Start the average at today's weights."""
        self.encoder.load_state_dict(encoder.state_dict())

    @torch.no_grad()
    def update(self, encoder: nn.Sequential) -> None:
        """One step of the average, over all tensors at once."""
        average = get_ema_multi_avg_fn(self.momentum)
        average(self._averaged(self.encoder), self._averaged(encoder), None)

    def _averaged(self, encoder: nn.Module) -> list[Tensor]:
        tensors: list[Tensor] = list(encoder.parameters())
        if self.batch_norm == "running":
            tensors += [buffer for buffer in encoder.buffers() if buffer.is_floating_point()]
        return tensors

    def train(self, mode: bool = True) -> "MomentumEncoder":
        """With ``batch_norm='running'`` stay in eval mode."""
        return super().train(mode and self.batch_norm == "batch")

    @torch.no_grad()
    def forward(self, key_view: Tensor, query_BD: Tensor) -> Tensor:
        """Embed ``key_view`` (B, C, H, W) to keys (B, D), without gradient."""
        return normalize(self.encoder(key_view), dim=-1)
