"""No second network: the memory alone remembers. B: images, D: projection."""

from torch import Tensor

from ctc_lightning.key_encoder.protocol import KeyEncoder


class QueryEncoder(KeyEncoder):
    """k = stop_gradient(q).

    The first stage of the paper: the past is what the per-image memory bank averaged
    (dt-tradeoff@a36516b ctc/instance.py:27-52).
    """

    has_own_network = False

    def forward(self, key_view: Tensor, query_BD: Tensor) -> Tensor:
        """Return the detached query, (B, D)."""
        return query_BD.detach()
