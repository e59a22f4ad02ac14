"""What a contrast must do. B: queries, K: negatives, D: projection."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from ctc_lightning.checks import in_range
from ctc_lightning.memory.protocol import Keys


class Contrast(nn.Module, ABC):
    """A loss between queries and keys; where the keys have a reverse direction, the sum of both.

    Args:
        temperature: τ > 0.

    Raises:
        ValueError: τ <= 0.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        in_range("contrast", "(0, inf)", example=0.1, temperature=temperature)
        self.temperature = temperature

    def forward(self, query_BD: Tensor, keys: Keys) -> Tensor:
        """The scalar loss of (B, D) queries of unit norm, in float32 or better."""
        loss = self.one_way(*self.logits(query_BD, keys), keys.num_stored, direction=0)
        if keys.reverse is not None:
            anchor_BD, back = keys.reverse
            loss = loss + self.one_way(*self.logits(anchor_BD, back), back.num_stored, direction=1)
        return loss

    def logits(self, query_BD: Tensor, keys: Keys) -> tuple[Tensor, Tensor]:
        """q·k⁺/τ (B,) and q·k⁻/τ (B, K), in at least float32; −inf where a pair may not meet."""
        positive_B, negative_BK = keys.similarity(query_BD)
        return positive_B / self.temperature, negative_BK / self.temperature

    @abstractmethod
    def one_way(self, positive_B: Tensor, negative_BK: Tensor, num_stored: int, direction: int) -> Tensor:
        """The scalar loss of one direction.

        Args:
            positive_B: (B,) q·k⁺/τ.
            negative_BK: (B, K) q·k⁻/τ, −inf where a pair may not meet.
            num_stored: N, the keys that the memory holds in all.
            direction: 0: queries against keys, 1: keys against queries.
        """
