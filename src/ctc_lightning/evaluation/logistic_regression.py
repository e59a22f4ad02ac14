"""Regularised logistic regression over a path of strengths, by a preconditioned L-BFGS.

N: images, F: features, P: their principal directions, L: classes, M: remembered steps
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

_MEMORY = 10  # steps that L-BFGS remembers
_MAX_STEPS = 500
_MAX_TRIALS = 20  # of a step length
# Of the mean loss: what the quadratic model still promises to gain when the iteration stops. A tenth of the
# tolerance that is promised would do in exact arithmetic; float32 is good for this.
_TOLERANCE = 5e-7
# Of the largest singular value: directions below it are rounding of float32 features, not information
_RESOLUTION = 1e-6
_ARMIJO, _WOLFE = 1e-4, 0.5


class Linear(NamedTuple):
    """logits = h Wᵀ + b.

    Attributes:
        weight_LF: (L, F) float64.
        bias_L: (L,) float64; −∞ for a class without training images.
        strength: λ.
        objective: (1/N) (Σ loss + λ/2 |W|²) at the end, in nats.
        steps: of L-BFGS.
    """

    weight_LF: Tensor
    bias_L: Tensor
    strength: float
    objective: float
    steps: int

    def __call__(self, h_NF: Tensor) -> Tensor:
        """(N, F) to (N, L) float64 logits."""
        return h_NF.double() @ self.weight_LF.T + self.bias_L


def fit_path(h_NF: Tensor, label: Tensor, num_classes: int, strengths: Sequence[float]) -> Iterator[Linear]:
    """min_{W,b} Σ_n loss(W h_n + b, y_n) + (λ/2) |W|² for each λ, from the strongest, each from the last one.

    The loss is the cross-entropy of the softmax; of multi-label targets the sum over classes of the binary
    cross-entropies of those labels that are judged, which makes L problems with one λ. The bias is not
    penalised. This is scikit-learn's ``LogisticRegression(C=1/λ)``, also for two classes, where it has one
    weight vector instead of two (we double λ, which is the same). The mean objective ends within 1e-4 of the
    optimum (tests), usually within 1e-6.

    Everything happens in the principal directions u_p of the centred features, scaled by 1/sqrt(c_l s_p + λ),
    with s_p the squared singular values and c_l = mean p_l (1 − p_l) the curvature of the loss: an approximation
    of the Hessian's diagonal that makes badly conditioned features as quick as good ones. The logits change
    linearly along a step, so that finding its length needs no product of matrices. Matrices are float32, sums
    of losses float64.

    Args:
        h_NF: (N, F) float features, finite.
        label: (N,) int64 in [0, L); or (N, L) with 1, 0 and -1 (not judged).
        num_classes: L.
        strengths: λ, each > 0.

    Yields:
        One solution for each λ, from the largest to the smallest, on the device of ``h_NF``.
    """
    problem = _Problem(h_NF, label, num_classes)
    weight = torch.zeros(problem.num_rows, problem.u_NP.shape[1], device=h_NF.device)
    bias = problem.first_bias()
    for strength in sorted(strengths, reverse=True):
        weight, bias, objective, steps = problem.solve(weight, bias, strength)
        yield problem.in_features(weight, bias, strength, objective, steps)


class _Problem:
    """The features in principal directions, the labels, and how to minimise for one λ from a start."""

    def __init__(self, h_NF: Tensor, label: Tensor, num_classes: int) -> None:
        h_NF = h_NF.double()
        self.num_images, self.num_classes = len(h_NF), num_classes
        self.mean_F = h_NF.mean(0)
        centred_NF = h_NF - self.mean_F
        self.directions_FP, self.squares_P = _principal(centred_NF)
        self.u_NP = (centred_NF @ self.directions_FP).float()
        self.squares_P = self.squares_P.float()
        label = label.to(h_NF.device)
        self.multi_label = label.ndim > 1
        if self.multi_label:
            judged, hit = label >= 0, label == 1
            self.rows = ((hit.any(0)) & (judged & ~hit).any(0)).nonzero().squeeze(1)
            self.judged_NL = judged[:, self.rows].float()
            self.y_NL = hit[:, self.rows].float()
        else:
            self.rows, self.label_N = label.unique(return_inverse=True)
            self.y_NL = torch.nn.functional.one_hot(self.label_N, len(self.rows)).float()
        self.num_rows = len(self.rows)
        # scikit-learn has one weight vector for two classes
        self.factor = 2.0 if not self.multi_label and self.num_rows == 2 else 1.0

    def first_bias(self) -> Tensor:
        """The optimum without features: log frequencies."""
        if self.multi_label:
            share_L = self.y_NL.sum(0) / self.judged_NL.sum(0)
            return torch.logit(share_L)
        return self.y_NL.mean(0).log()

    def loss(self, z_NL: Tensor) -> Tensor:
        """Σ loss, float64 scalar."""
        if self.multi_label:
            return ((softplus(z_NL) - self.y_NL * z_NL) * self.judged_NL).sum(dtype=torch.float64)
        return (z_NL.logsumexp(1) - z_NL.gather(1, self.label_N[:, None]).squeeze(1)).sum(dtype=torch.float64)

    def probability(self, z_NL: Tensor) -> Tensor:
        """(N, L)."""
        return z_NL.sigmoid() if self.multi_label else z_NL.softmax(1)

    def residual(self, p_NL: Tensor) -> Tensor:
        """(N, L), the gradient with respect to the logits."""
        return (p_NL - self.y_NL) * self.judged_NL if self.multi_label else p_NL - self.y_NL

    def solve(self, weight_LP: Tensor, bias_L: Tensor, strength: float) -> tuple[Tensor, Tensor, float, int]:
        """Minimise from a start: weights, bias, mean objective, steps."""
        strength *= self.factor
        u_NP, rows = self.u_NP, self.num_rows
        z_NL = u_NP @ weight_LP.T + bias_L
        p_NL = self.probability(z_NL)
        spread_NL = p_NL * (1 - p_NL)
        curvature_L = (spread_NL * self.judged_NL if self.multi_label else spread_NL).mean(0).clamp(min=1e-6)
        # unit steps in these variables are Newton steps, were the curvature the same for all images
        scale_LP = (curvature_L[:, None] * self.squares_P + strength).rsqrt()
        scale_L1 = (curvature_L * self.num_images).rsqrt()[:, None]
        scale = torch.cat([scale_LP, scale_L1], dim=1)
        x = torch.cat([weight_LP, bias_L[:, None]], dim=1)  # L × (P + 1)

        def gradient(p_NL: Tensor, x: Tensor) -> Tensor:
            r_NL = self.residual(p_NL)
            g = torch.cat([r_NL.T @ u_NP + strength * x[:, :-1], r_NL.sum(0)[:, None]], dim=1)
            return (g * scale).flatten()

        value = float(self.loss(z_NL) + strength / 2 * x[:, :-1].square().sum(dtype=torch.float64))
        g = gradient(p_NL, x)
        memory = _Memory()
        step = 0
        for step in range(1, _MAX_STEPS + 1):  # noqa: B007
            d = memory.direction(g)
            slope = float(d @ g)
            if -slope <= _TOLERANCE * self.num_images:
                break
            move = d.view(rows, -1) * scale
            dz_NL = u_NP @ move[:, :-1].T + move[:, -1]
            found = self._length(z_NL, dz_NL, x, move, value, slope, strength)
            if found is None:
                if not memory:
                    break
                memory = _Memory()  # rounding has spoilt what is remembered
                continue
            length, value = found
            x, z_NL = x + length * move, z_NL + length * dz_NL
            g_old, g = g, gradient(self.probability(z_NL), x)
            memory.add(length * d, g - g_old)
        return x[:, :-1], x[:, -1], value / self.num_images, step

    def _length(
        self,
        z_NL: Tensor,
        dz_NL: Tensor,
        x: Tensor,
        move: Tensor,
        value: float,
        slope: float,
        strength: float,
    ) -> tuple[float, float] | None:
        """A step length with the Wolfe conditions, and the objective there; None if none goes down."""
        w, dw = x[:, :-1], move[:, :-1]
        linear, square = float((w * dw).sum(dtype=torch.float64)), float(dw.square().sum(dtype=torch.float64))
        base = float(w.square().sum(dtype=torch.float64))
        low, high, length = 0.0, math.inf, 1.0
        best: tuple[float, float] | None = None
        # float32 logits: differences below this are rounding
        slack = 1e-9 * abs(value) + 1e-12
        for _ in range(_MAX_TRIALS):
            at_NL = z_NL + length * dz_NL
            here = float(self.loss(at_NL)) + strength / 2 * (base + 2 * length * linear + length**2 * square)
            if not here <= value + _ARMIJO * length * slope + slack:
                high = length
                # the minimum of the parabola through value, slope and here, kept well inside
                guess = (
                    -slope * length**2 / (2 * (here - value - slope * length)) if math.isfinite(here) else 0.0
                )
                length = min(max(guess, low + 0.1 * (high - low)), low + 0.5 * (high - low))
                continue
            if best is None or here < best[1]:
                best = length, here
            steepness = (self.residual(self.probability(at_NL)) * dz_NL).sum(dtype=torch.float64)
            now = float(steepness) + strength * (linear + length * square)
            if now < _WOLFE * slope:  # still falling steeply: further
                low = length
                length = 2 * length if math.isinf(high) else (low + high) / 2
                continue
            return length, here
        return best

    def in_features(
        self, weight_LP: Tensor, bias_L: Tensor, strength: float, objective: float, steps: int
    ) -> Linear:
        """In terms of the features as given, with rows for all classes."""
        weight = weight_LP.new_zeros(self.num_classes, len(self.mean_F), dtype=torch.float64)
        # a class without an example is never predicted; one without a counter-example says nothing
        bias = torch.full_like(weight[:, 0], 0.0 if self.multi_label else -torch.inf)
        weight[self.rows] = weight_LP.double() @ self.directions_FP.T
        bias[self.rows] = bias_L.double() - weight[self.rows] @ self.mean_F
        return Linear(weight, bias, strength, objective, steps)


class _Memory:
    """What L-BFGS remembers of its last steps (Nocedal 1980, "Updating quasi-Newton matrices …")."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Tensor, Tensor, Tensor]] = []

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def add(self, s: Tensor, y: Tensor) -> None:
        """A step and the change of the gradient."""
        product = s @ y
        if product > 1e-10 * y.norm() * s.norm():
            self.pairs = [*self.pairs, (s, y, 1 / product)][-_MEMORY:]

    def direction(self, g: Tensor) -> Tensor:
        """−H g."""
        q, alphas = g.clone(), []
        for s, y, rho in reversed(self.pairs):
            alphas.append(rho * (s @ q))
            q = q - alphas[-1] * y
        if self.pairs:
            _, y, rho = self.pairs[-1]
            q = q / (rho * (y @ y))
        for (s, y, rho), alpha in zip(self.pairs, reversed(alphas), strict=True):
            q = q + (alpha - rho * (y @ q)) * s
        return -q


def _principal(centred_NF: Tensor) -> tuple[Tensor, Tensor]:
    """(F, P) orthonormal directions with variance, and their P squared singular values."""
    num_images, num_features = centred_NF.shape
    wide = num_features > num_images
    gram = centred_NF @ centred_NF.T if wide else centred_NF.T @ centred_NF
    square, vector = torch.linalg.eigh(gram)
    kept = square > max(_RESOLUTION**2, 1e-14) * square[-1].clamp(min=torch.finfo(torch.float64).tiny)
    square, vector = square[kept], vector[:, kept]
    if wide:
        vector = centred_NF.T @ vector / square.sqrt()
    return vector, square
