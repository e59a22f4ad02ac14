"""Projectors g: features to the space where keys and queries are compared."""

# B images, F features, D projection
from collections import OrderedDict

from torch import nn

from ctc_lightning.checks import count


class LinearProjector(nn.Linear):
    """g(h) = A h + b: (B, F) to (B, D), not normalised.

    Args:
        num_features: F, at least 1.
        dim: D, at least 1.
        trainable: False freezes g at its random start: the quirk of ``dt-tradeoff@a36516b
            train_ctc.py:134``, whose optimizer does not hold the stage-1 projector.
        bias: whether there is b.

    Raises:
        ValueError: a size below 1.
    """

    def __init__(self, num_features: int, dim: int = 128, trainable: bool = True, bias: bool = True) -> None:
        count("projector", num_features=num_features, dim=dim)
        super().__init__(num_features, dim, bias=bias)
        self.dim = dim
        self.requires_grad_(trainable)


class MLPProjector(nn.Sequential):
    """g(h) = A2 relu(bn(A1 h + b1)) + b2: (B, F) to (B, D), not normalised; bn only on request.

    Source: the projection heads of arXiv 2002.05709 (SimCLR) and 2003.04297 (MoCo v2, no bn).

    Args:
        num_features: F, at least 1.
        hidden_dim: width of the hidden layer, at least 1; None takes F, as both sources do.
        dim: D, at least 1.
        batch_norm: whether there is bn.

    Raises:
        ValueError: a size below 1.
    """

    def __init__(
        self, num_features: int, hidden_dim: int | None = None, dim: int = 128, batch_norm: bool = False
    ) -> None:
        hidden_dim = num_features if hidden_dim is None else hidden_dim
        count("projector", num_features=num_features, hidden_dim=hidden_dim, dim=dim)
        layers: OrderedDict[str, nn.Module] = OrderedDict(hidden=nn.Linear(num_features, hidden_dim))
        if batch_norm:
            layers["norm"] = nn.BatchNorm1d(hidden_dim)
        layers["relu"] = nn.ReLU(inplace=True)
        layers["out"] = nn.Linear(hidden_dim, dim)
        super().__init__(layers)
        self.dim = dim
