"""A snapshot of the network, taken when the stage begins. B: images, F: features, D: projection."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ctc_lightning.key_encoder.protocol import KeyEncoder


class FrozenEncoder(KeyEncoder):
    """k = normalise(g₀(f₀(x))) with f₀, g₀ as they were when the stage began, in eval mode for good.

    Args:
        projector: None: the head is frozen with the backbone. Otherwise a constructor
            ``num_features -> nn.Module`` of a head E_k of its own that *is* trained, as in the
            reference's second stage (dt-tradeoff@a36516b ctc/criterion.py:13); the backbone stays frozen.
    """

    encoder: nn.Sequential

    def __init__(self, projector: Callable[[int], nn.Module] | None = None) -> None:
        super().__init__()
        self.projector = projector

    def build(self, encoder: nn.Sequential) -> None:
        """Copy the encoder, so that the checkpoint has the same entries from the first epoch on."""
        frozen = deepcopy(encoder).requires_grad_(requires_grad=False)
        if self.projector is not None:
            backbone: Any = frozen[0]
            frozen = nn.Sequential(backbone, self.projector(backbone.num_features))
        self.encoder = frozen.eval()

    def begin(self, encoder: nn.Sequential) -> None:
        """Take the snapshot: weights and BatchNorm buffers."""
        copied = slice(0, 1) if self.projector is not None else slice(0, 2)
        self.encoder[copied].load_state_dict(encoder[copied].state_dict())

    def first_keys(self, feature_BF: Tensor, query_BD: Tensor) -> Tensor:
        """See `KeyEncoder.first_keys`; a head of its own is no copy of the query's."""
        return query_BD if self.projector is None else normalize(self.encoder[1](feature_BF), dim=-1)

    def train(self, mode: bool = True) -> "FrozenEncoder":
        """Stay in eval mode: BatchNorm's running statistics never move."""
        return super().train(mode=False)

    def forward(self, key_view: Tensor, query_BD: Tensor) -> Tensor:
        """Embed ``key_view`` (B, C, H, W) to keys (B, D); only a head of its own gets a gradient."""
        with torch.no_grad():
            h_BF = self.encoder[0](key_view)
        return normalize(self.encoder[1](h_BF), dim=-1)
