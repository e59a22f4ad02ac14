"""Bounds by a critic that learns: how it learns, and how it is judged on pairs that it has not seen.

N: pairs, B: a batch of them, K: draws of y from its marginal for each x, C: dimensions of x,
E: dimensions of y, D: dimensions of either
"""

from abc import abstractmethod
from collections.abc import Callable
from math import inf, isfinite
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ctc_lightning.checks import count, in_range
from ctc_lightning.information.estimators.checks import check_readable
from ctc_lightning.information.estimators.critic import Critic, CriticDesign
from ctc_lightning.information.estimators.protocol import Estimate, Estimator, Fitted, Pairs
from ctc_lightning.information.estimators.scores import Scores, off_diagonal, score_pairs

_CONSTANT = 1e-6  # a standard deviation below this share of the root mean square is rounding
Loss = Callable[[Tensor, Tensor], Tensor]


class NeuralEstimator(Estimator):
    """Learns T by AdamW on batches, and keeps the step that is best on a part that is not learnt.

    A step that is worse there than T = 0, which knows nothing, is not kept: T = 0 is, and the estimate is 0.
    Held out, only what the critic could learn of the relation from these pairs counts: from few pairs of many
    dimensions that can be far below I(x; y).

    In training, draws from the product of the marginals are all B(B − 1) pairs (x_i, y_j), i ≠ j, of a batch;
    in an estimate all N(N − 1). Batches are drawn without replacement, anew at each step. Where y is known to
    be f(x) + noise · ε, each batch draws its own ε: the same distribution, and nothing to learn by heart.

    Args:
        critic: its kind and sizes.
        learning_rate: > 0.
        weight_decay: >= 0, decoupled, per step times the learning rate.
        iterations: steps at most, >= 1.
        batch_size: B >= 2, at most the number of pairs that are learnt.
        validation: the share of the pairs, in [0, 1), that chooses the step and is not learnt; 0: all are
            learnt, for all ``iterations``.
        interval: steps between two looks at the validation part, >= 1.
        patience: after so many looks without a better one learning stops, >= 1.
        standardise: whether each dimension of x and of y gets mean 0 and variance 1 on the learnt pairs; one
            that is constant there becomes 0.
        fresh_noise: whether each batch draws its own ε where y's is known; else y stays as given.
        max_marginal: an estimate uses at most so many draws from the product of the marginals: K = this / N,
            at equal distances k − n (at least 1); None: all, K = N − 1.

    Raises:
        ValueError: a value outside its range.
    """

    version = 1

    def __init__(
        self,
        *,
        critic: CriticDesign,
        learning_rate: float,
        weight_decay: float,
        iterations: int,
        batch_size: int,
        validation: float,
        interval: int,
        patience: int,
        standardise: bool,
        fresh_noise: bool,
        max_marginal: int | None,
    ) -> None:
        in_range(self.name, "(0, inf)", learning_rate=learning_rate)
        in_range(self.name, "[0, inf)", weight_decay=weight_decay)
        in_range(self.name, "[0, 1)", validation=validation)
        count(self.name, iterations=iterations, interval=interval, patience=patience)
        count(self.name, least=2, batch_size=batch_size)
        count(self.name, null=True, max_marginal=max_marginal)
        self.critic = critic
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.iterations = iterations
        self.batch_size = batch_size
        self.validation = validation
        self.interval = interval
        self.patience = patience
        self.standardise = standardise
        self.fresh_noise = fresh_noise
        self.max_marginal = max_marginal

    @property
    def name(self) -> str:
        """As messages call it."""
        return type(self).__name__

    @abstractmethod
    def bound(self, scores: Scores) -> Tensor:
        """The estimate in nats, 0-dim float64."""

    @abstractmethod
    def loss(self, joint_B: Tensor, marginal_BK: Tensor) -> Tensor:
        """What the best step makes smallest on the validation part, of T(x_b, y_b) and T(x_b, y_k)."""

    def training_loss(self) -> Loss:
        """What one fit descends, if it is something other than ``loss``; may remember earlier batches."""
        return self.loss

    def clipped(self, score: Tensor) -> Tensor:
        """T of draws from the marginals, as an estimate uses it."""
        return score

    def offset(self, scores: Scores) -> Tensor | float:
        """What is added to T after learning, by its scores on the part that chose the step."""
        return 0.0

    def ceiling(self, num_marginal: int) -> float:
        """The largest ``bound`` that K draws for each x allow."""
        return inf

    def batch_scores(self, critic: Critic, draw: "Draw") -> tuple[Tensor, Tensor]:
        """(B,) T of a batch of pairs and (B, K) of draws from the marginals, for one step."""
        x_BC, y_BE = draw(self.batch_size)
        score_BB = critic.crossed(x_BC, y_BE)
        return score_BB.diagonal(), off_diagonal(score_BB)

    def fit(self, train: Pairs, *, seed: int) -> "FittedCritic":
        """See `Estimator.fit`.

        Raises:
            ValueError: too few pairs, fewer learnt than a batch, x or y constant or not finite, or every
                step looked at diverged.
        """
        num_pairs = len(train.x_NC)
        num_val = round(self.validation * num_pairs)
        self._check(train, num_val)
        generator = Generator().manual_seed(seed)
        order_N = torch.randperm(num_pairs, generator=generator).to(train.x_NC.device)
        val, learnt = train.rows(order_N[:num_val]), train.rows(order_N[num_val:])
        scale_x, scale_y = (Scale.of(each, self.standardise) for each in (learnt.x_NC, learnt.y_NE))
        critic = self.critic.build(train.x_NC.shape[1], train.y_NE.shape[1], generator)
        critic = critic.to(train.x_NC.device)
        fitted = FittedCritic(self, critic, scale_x, scale_y)
        self._learn(critic, Draw(learnt, scale_x, scale_y, generator, self.fresh_noise), val, fitted)
        fitted.offset = self.offset(fitted.scores(val if num_val else learnt))
        return fitted

    def _learn(self, critic: Critic, draw: "Draw", val: Pairs, fitted: "FittedCritic") -> None:
        """Leave the critic at its best step."""
        parameters = list(critic.parameters())
        adam = torch.optim.AdamW(
            parameters, lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        loss_of = self.training_loss()
        val_scaled = fitted.scale_x(val.x_NC), fitted.scale_y(val.y_NE)
        best: list[Tensor] | None = None
        best_loss, waited = inf, 0
        with torch.enable_grad():
            for step in range(1, self.iterations + 1):
                loss = loss_of(*self.batch_scores(critic, draw))
                adam.zero_grad()
                loss.backward()
                adam.step()
                last = step == self.iterations
                if self.validation and (step % self.interval == 0 or last):
                    with torch.no_grad():
                        score_MM = critic.crossed(*val_scaled)
                        val_loss = self.loss(score_MM.diagonal(), off_diagonal(score_MM)).item()
                    waited += 1
                    if val_loss < best_loss:
                        best_loss, waited = val_loss, 0
                        best = [parameter.detach().clone() for parameter in parameters]
                    if waited == self.patience:
                        break
        if not self.validation:
            best = [parameter.detach() for parameter in parameters]
        if best is None or not all(bool(kept.isfinite().all()) for kept in best):
            raise ValueError(
                f"{self.name}: diverged with learning_rate {self.learning_rate}; lower it, or look at the "
                "scale of x and y."
            )
        nothing = torch.zeros(2, 1)
        if self.validation and best_loss > self.loss(nothing[:, 0], nothing).item():
            best = [torch.zeros_like(kept) for kept in best]
        with torch.no_grad():
            for parameter, kept in zip(parameters, best, strict=True):
                parameter.copy_(kept)

    def _check(self, train: Pairs, num_val: int) -> None:
        num_pairs, num_learnt = len(train.x_NC), len(train.x_NC) - num_val
        if num_learnt < self.batch_size or (self.validation and num_val < 2):
            raise ValueError(
                f"{self.name}: of {num_pairs} pairs {num_learnt} are learnt, {self.batch_size} at a time, "
                f"and {num_val} choose the step (at least 2 are needed unless validation is 0); use more "
                "pairs or a smaller batch_size."
            )
        check_readable(self.name, train)
        for name, value_ND in (("x", train.x_NC), ("y", train.y_NE)):
            if not varies(value_ND).any():
                raise ValueError(
                    f"{self.name}: {name} is the same in all {num_pairs} pairs, up to rounding, so that "
                    "there is nothing to measure; look whether the features have collapsed."
                )


class FittedCritic(Fitted):
    """A critic that has learnt, with the scales of its inputs."""

    def __init__(
        self, estimator: NeuralEstimator, critic: Critic, scale_x: "Scale", scale_y: "Scale"
    ) -> None:
        self.estimator = estimator
        self.critic = critic
        self.scale_x, self.scale_y = scale_x, scale_y
        self.offset: Tensor | float = 0.0

    def __call__(self, pairs: Pairs) -> Estimate:
        """See `Fitted.__call__`.

        Raises:
            ValueError: fewer than 2 pairs, or pairs or scores that are not finite.
        """
        name = self.estimator.name
        check_readable(name, pairs, at_least=2)
        scores = self.scores(pairs)
        value = self.estimator.bound(scores).item()
        if not isfinite(value):
            raise ValueError(
                f"{name}: the critic's scores give {value} on {len(pairs.x_NC)} pairs; lower the learning "
                "rate, or look at their scale."
            )
        return Estimate(value, ceiling=self.estimator.ceiling(scores.num_marginal))

    @torch.no_grad()
    def scores(self, pairs: Pairs) -> Scores:
        """The critic's, with the offset."""
        x_NC, y_NE = self.scale_x(pairs.x_NC), self.scale_y(pairs.y_NE)
        found = score_pairs(self.critic, x_NC, y_NE, self.estimator.clipped, self.estimator.max_marginal)
        return Scores(found.joint_N + self.offset, found.log_marginal_N + self.offset, found.num_marginal)


class Draw:
    """Batches of the learnt pairs, scaled."""

    def __init__(
        self, pairs: Pairs, scale_x: "Scale", scale_y: "Scale", generator: Generator, fresh_noise: bool
    ) -> None:
        self.generator = generator
        self.x_NC = scale_x(pairs.x_NC)
        self.noise_E: Tensor | None = None
        clean_NE = pairs.clean_NE if fresh_noise and pairs.noise > 0 else None
        if clean_NE is not None:
            self.noise_E = pairs.noise / scale_y.deviation_D
        self.y_NE = scale_y(pairs.y_NE if clean_NE is None else clean_NE)

    def __call__(self, size: int, *, independent: bool = False) -> tuple[Tensor, Tensor]:
        """(B, C) x and (B, E) y of the same pairs; or of pairs drawn independently for the two."""
        index_B = self._rows(size)
        x_BC = self.x_NC[index_B]
        y_BE = self.y_NE[self._rows(size) if independent else index_B]
        if self.noise_E is not None:
            y_BE = y_BE + self.noise_E * self._here(torch.randn(y_BE.shape, generator=self.generator))
        return x_BC, y_BE

    def _rows(self, size: int) -> Tensor:
        return self._here(torch.randperm(len(self.x_NC), generator=self.generator)[:size])

    def _here(self, drawn: Tensor) -> Tensor:
        # drawn on the CPU: the same on every device; not waited for
        return drawn.to(self.x_NC.device, non_blocking=True)


class Scale(NamedTuple):
    """(v − mean) / deviation of each dimension."""

    mean_D: Tensor
    deviation_D: Tensor

    @classmethod
    def of(cls, value_ND: Tensor, standardise: bool) -> "Scale":
        """Of these rows, or none: 0 and 1. A constant dimension's deviation is infinite."""
        if not standardise:
            return cls(torch.zeros_like(value_ND[0]), torch.ones_like(value_ND[0]))
        deviation_D = value_ND.std(0, correction=0)
        return cls(value_ND.mean(0), deviation_D.where(varies(value_ND), inf))

    def __call__(self, value_ND: Tensor) -> Tensor:
        """Rows on this scale."""
        return (value_ND - self.mean_D) / self.deviation_D


def varies(value_ND: Tensor) -> Tensor:
    """(D,) whether a dimension's rows differ by more than rounding."""
    return value_ND.std(0, correction=0) > _CONSTANT * value_ND.square().mean(0).sqrt()
