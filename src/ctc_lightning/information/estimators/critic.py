"""Critics: networks that score a pair (x, y), high where it looks like a draw from the joint distribution.

B: pairs, P: values of x, Q: values of y, C: dimensions of x, E: dimensions of y, H: hidden units,
D: dimensions of an embedding
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import linear, relu

from ctc_lightning.checks import count, in_range
from ctc_lightning.evaluation.versioned import Versioned

_CELLS = 2**22  # hidden units at a time: 16 MB


class Critic(nn.Module, ABC):
    """T(x, y)."""

    @abstractmethod
    def paired(self, x_BC: Tensor, y_BE: Tensor) -> Tensor:
        """(B,) T(x_b, y_b)."""

    @abstractmethod
    def crossed(self, x_PC: Tensor, y_QE: Tensor) -> Tensor:
        """(P, Q) T(x_p, y_q)."""


class CriticDesign(Versioned, ABC):
    """A critic's sizes, before the dimensions of x and y are known.

    Raises:
        ValueError: no hidden layer where one is needed, or a size below 1.
    """

    @abstractmethod
    def build(self, num_x: int, num_y: int, draw: Generator) -> Critic:
        """A critic of x (C,) and y (E,) on the CPU, its start drawn from ``draw`` alone."""


class JointDesign(CriticDesign):
    """T(x, y) = MLP([x, y]), ReLU between its layers.

    Args:
        hidden: units of each hidden layer; at least one layer.
        init_std: hidden weights start as N(0, ``init_std``²), their biases as 0; None: as PyTorch's linear
            layers do, which the output layer always does.

    Source: dt-tradeoff@a36516b mine.py:12-30 (three hidden layers of 1024, 0.02).
    """

    version = 1

    def __init__(self, *, hidden: Sequence[int], init_std: float | None) -> None:
        self.hidden = list(map(int, hidden))
        self.init_std = init_std
        count("critic", hidden=self.hidden)
        in_range("critic", "(0, inf)", null=True, init_std=init_std)

    def build(self, num_x: int, num_y: int, draw: Generator) -> "JointCritic":
        """See `CriticDesign.build`."""
        return JointCritic(_layers([num_x + num_y, *self.hidden, 1], draw, self.init_std), num_x)


class SeparableDesign(CriticDesign):
    """T(x, y) = g(x)·h(y)/√D + a(x) + b(y), with MLPs beside linear maps: [g, a](x) = A x + MLP(x).

    P × Q scores cost P + Q passes. The MLPs' outputs start at 0 and the linear maps do not, so that few pairs
    are enough where y is nearly linear in x; a and b hold what no dot product of few dimensions can, as
    −|y|²/2.

    Args:
        hidden: units of each hidden layer of both MLPs; none: linear maps alone.
        embedding: D.

    Source: van den Oord et al. 2018, arXiv 1807.03748 (bilinear); Poole et al. 2019, arXiv
    1905.06922 (separable). The linear part and a, b are not theirs.
    """

    version = 1

    def __init__(self, *, hidden: Sequence[int], embedding: int) -> None:
        self.hidden = list(map(int, hidden))
        self.embedding = int(embedding)
        count("critic", hidden_and_embedding=[*self.hidden, self.embedding])

    def build(self, num_x: int, num_y: int, draw: Generator) -> "SeparableCritic":
        """See `CriticDesign.build`."""
        return SeparableCritic(*(_Embedding(num, self, draw) for num in (num_x, num_y)))


class JointCritic(Critic):
    """See `JointDesign`."""

    def __init__(self, layers: nn.ModuleList, num_x: int) -> None:
        super().__init__()
        self.layers = layers
        self.num_x = num_x

    def paired(self, x_BC: Tensor, y_BE: Tensor) -> Tensor:
        """See `Critic.paired`."""
        return self._rest(self._first(torch.cat([x_BC, y_BE], dim=1)))

    def crossed(self, x_PC: Tensor, y_QE: Tensor) -> Tensor:
        """See `Critic.crossed`; the first layer sees each x and each y once."""
        weight_HC, weight_HE = self._first.weight.tensor_split([self.num_x], dim=1)
        of_x_PH = linear(x_PC, weight_HC)
        of_y_QH = linear(y_QE, weight_HE, self._first.bias)
        rows = max(1, _CELLS // of_y_QH.numel())
        return torch.cat([self._rest(part_RH[:, None] + of_y_QH) for part_RH in of_x_PH.split(rows)])

    @property
    def _first(self) -> nn.Linear:
        layer = self.layers[0]
        assert isinstance(layer, nn.Linear)
        return layer

    def _rest(self, hidden: Tensor) -> Tensor:
        for layer in self.layers[1:]:
            hidden = layer(relu(hidden))
        return hidden.squeeze(-1)


class SeparableCritic(Critic):
    """See `SeparableDesign`."""

    def __init__(self, of_x: "_Embedding", of_y: "_Embedding") -> None:
        super().__init__()
        self.of_x, self.of_y = of_x, of_y

    def paired(self, x_BC: Tensor, y_BE: Tensor) -> Tensor:
        """See `Critic.paired`."""
        (g_BD, a_B), (h_BD, b_B) = self.of_x(x_BC), self.of_y(y_BE)
        return (g_BD * h_BD).sum(1) + a_B + b_B

    def crossed(self, x_PC: Tensor, y_QE: Tensor) -> Tensor:
        """See `Critic.crossed`."""
        (g_PD, a_P), (h_QD, b_Q) = self.of_x(x_PC), self.of_y(y_QE)
        return g_PD @ h_QD.T + a_P[:, None] + b_Q


class _Embedding(nn.Module):
    """One side of a separable critic: (B, C) to (B, D), divided by D^¼, and (B,)."""

    def __init__(self, num_inputs: int, design: SeparableDesign, draw: Generator) -> None:
        super().__init__()
        num_outputs = design.embedding + 1
        self.straight = _layers([num_inputs, num_outputs], draw)[0]
        self.layers = nn.ModuleList()
        if design.hidden:
            self.layers = _layers([num_inputs, *design.hidden, num_outputs], draw)
            for parameter in self.layers[-1].parameters():
                nn.init.zeros_(parameter)
        self.scale = design.embedding**-0.25

    def forward(self, input_BC: Tensor) -> tuple[Tensor, Tensor]:
        output_BD = self.straight(input_BC)
        if len(self.layers):
            hidden = self.layers[0](input_BC)
            for layer in self.layers[1:]:
                hidden = layer(relu(hidden))
            output_BD = output_BD + hidden
        return output_BD[:, :-1] * self.scale, output_BD[:, -1]


def _layers(sizes: Sequence[int], draw: Generator, hidden_std: float | None = None) -> nn.ModuleList:
    """Linear layers from size to size; all but the last may start as N(0, ``hidden_std``²)."""
    layers = nn.ModuleList()
    for number, (num_inputs, num_outputs) in enumerate(pairwise(sizes)):
        layer = nn.utils.skip_init(nn.Linear, num_inputs, num_outputs)  # its own start would be a global draw
        bound = num_inputs**-0.5
        with torch.no_grad():
            if hidden_std is None or number == len(sizes) - 2:
                layer.weight.uniform_(-bound, bound, generator=draw)
                layer.bias.uniform_(-bound, bound, generator=draw)
            else:
                layer.weight.normal_(std=hidden_std, generator=draw)
                layer.bias.zero_()
        layers.append(layer)
    return layers
