"""What a key encoder must do. B: images, F: features, D: projection."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class KeyEncoder(nn.Module, ABC):
    """k = normalise(g'(f'(x))): embeds a view with an earlier network.

    An *encoder* here is ``nn.Sequential(backbone, projector)``: f, then g.

    Attributes:
        has_own_network: whether k differs from q. Where it does not, the positive must come out of a
            memory that remembers it (see ``Memory.stores_positive``).
    """

    has_own_network: bool = True

    def build(self, encoder: nn.Sequential) -> None:
        """Make the state that lives in the checkpoint, once, before training."""

    def begin(self, encoder: nn.Sequential) -> None:
        """The stage begins: become an exact copy of today's ``encoder``, head included."""

    def first_keys(self, feature_BF: Tensor, query_BD: Tensor) -> Tensor:
        """The keys (B, D) just after `begin`, without a second pass: both networks have the same weights."""
        return query_BD

    def update(self, encoder: nn.Sequential) -> None:
        """An optimizer step was made: follow today's ``encoder``."""

    @abstractmethod
    def forward(self, key_view: Tensor, query_BD: Tensor) -> Tensor:
        """Embed the past view.

        Args:
            key_view: (B, C, H, W) float, the key's view.
            query_BD: (B, D) the unit-norm query of the same images.

        Returns:
            (B, D) keys of unit norm; no gradient reaches the query network.
        """
