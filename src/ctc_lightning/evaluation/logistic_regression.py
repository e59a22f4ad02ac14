"""Regularised logistic regression over a path of strengths, by a preconditioned L-BFGS.

N: images, F: features, P: their principal directions and a last column of ones, L: classes, R: classes
with examples and counter-examples, D: R × P, M: remembered steps
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, one_hot, softplus

from ctc_lightning.evaluation.scaling import Scaling

_MEMORY = 10  # steps that L-BFGS remembers
_MAX_STEPS = 1000
_MAX_TRIALS = 20  # of a step length
# Of the mean loss: what the quadratic model still hopes to gain when the iteration stops. Far below the 1e-4
# that we promise, because the model is rough
_TOLERANCE = 5e-7
_ROUNDING = 1e-8  # of the mean loss: changes below it are float32's
_ARMIJO, _WOLFE = 1e-4, 0.5
# Singular values relative to the largest: what one decomposition in float64 resolves, and what is nothing
_RESOLVED, _NOTHING = 1e-6, 1e-13
_BLOCK = 4096  # images whose centred features are held at once


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


def fit_path(
    h_NF: Tensor,
    label: Tensor,
    num_classes: int,
    strengths: Sequence[float],
    scaling: Scaling | None = None,
) -> Iterator[Linear]:
    """min_{W,b} Σ_n loss(W z_n + b, y_n) + (λ/2) |W|² for each λ, each from the last ones.

    The loss is the cross-entropy of the softmax; of multi-label targets the sum over classes of the binary
    cross-entropies of those labels that are judged, which makes L problems with one λ. The bias is not
    penalised. This is scikit-learn's ``LogisticRegression(C=1/λ)``, also for two classes, where it has one
    weight vector instead of two (we double λ, which is the same). The mean objective ends within 1e-4 of the
    optimum (tests), usually within 1e-5.

    Everything happens in the principal directions u_p of the centred z, each weight in units of
    1 / sqrt(c_l Σ_n u_np² + λ) with c_l = mean p_l (1 − p_l) at the start, about the Hessian's diagonal: that
    makes badly conditioned features as quick as good ones. The logits change linearly along a step, so that
    finding its length needs no product of matrices. Large matrices are float32, sums of losses float64.

    Args:
        h_NF: (N, F) float features, finite.
        label: (N,) int64 in [0, L); or (N, L) with 1, 0 and -1 (not judged).
        num_classes: L.
        strengths: λ, each > 0.
        scaling: z of h, fitted on these features; None: z = h. Whitened features need no decomposition.

    Yields:
        One solution for each λ, from the largest to the smallest, on the device of ``h_NF``, as weights of h.
    """
    problem = _Problem(h_NF, label, num_classes, scaling)
    solved: list[tuple[float, _Point]] = []
    for strength in sorted(strengths, reverse=True):
        at, objective, steps = problem.solve(_starts(problem, solved, math.log(strength)), strength)
        solved = [*solved[-1:], (math.log(strength), at)]
        yield problem.in_features(at.x_RP, strength, objective, steps)


class _Point(NamedTuple):
    """Weights with biases in the last column, and the logits they give."""

    x_RP: Tensor
    z_NR: Tensor

    def towards(self, other: "_Point", length: float) -> "_Point":
        """On the line through both, 0 here and 1 there: logits are linear."""
        return _Point(self.x_RP.lerp(other.x_RP, length), self.z_NR.lerp(other.z_NR, length))


def _starts(problem: "_Problem", solved: list[tuple[float, _Point]], log_strength: float) -> list[_Point]:
    """The last solution, and where the last two point to over log λ."""
    if not solved:
        return [problem.without_features()]
    if len(solved) == 1 or solved[0][0] == solved[1][0]:
        return [solved[-1][1]]
    (first, there), (last, here) = solved
    return [here, here.towards(there, (log_strength - last) / (first - last))]


class _Problem:
    """The features in principal directions, the labels, and how to minimise for one λ from a start."""

    def __init__(self, h_NF: Tensor, label: Tensor, num_classes: int, scaling: Scaling | None) -> None:
        self.num_images, self.num_classes = len(h_NF), num_classes
        self.mean_F = h_NF.mean(0, dtype=torch.float64) if scaling is None else scaling.mean_F
        if scaling is not None and scaling.whitens:
            # the weights are of the rounded map, so that only products round
            self.directions_FP = scaling.map_FP.to(h_NF.dtype)
        elif scaling is not None:
            self.directions_FP = scaling.map_FP @ _principal(scaling(h_NF))
        else:
            self.directions_FP = _principal(h_NF - self.mean_F)
        self.u_NP = torch.ones(len(h_NF), self.directions_FP.shape[1] + 1, device=h_NF.device)
        for h_BF, u_BP in zip(h_NF.split(_BLOCK), self.u_NP.split(_BLOCK), strict=True):
            u_BP[:, :-1] = (h_BF - self.mean_F).to(self.directions_FP.dtype) @ self.directions_FP
        self.penalised_P = torch.ones_like(self.u_NP[0])
        self.penalised_P[-1] = 0
        self.square_P = self.u_NP.square().sum(0)
        label = label.to(h_NF.device)
        self.multi_label = label.ndim > 1
        if self.multi_label:
            judged, hit = label >= 0, label == 1
            self.rows = (hit.any(0) & (judged & ~hit).any(0)).nonzero().squeeze(1)
            self.judged_NR = judged[:, self.rows].float()
            self.y_NR = hit[:, self.rows].float()
        else:
            self.rows, label_N = label.unique(return_inverse=True)
            self.y_NR = one_hot(label_N, len(self.rows)).float()
            self.label_N1 = label_N[:, None]
        # scikit-learn has one weight vector for two classes
        self.factor = 2.0 if not self.multi_label and len(self.rows) == 2 else 1.0

    def without_features(self) -> _Point:
        """The optimum for λ → ∞: zeros and log frequencies."""
        x_RP = self.u_NP.new_zeros(len(self.rows), self.u_NP.shape[1])
        if self.multi_label:
            x_RP[:, -1] = torch.logit(self.y_NR.sum(0) / self.judged_NR.sum(0))
        else:
            x_RP[:, -1] = self.y_NR.mean(0).log()
        return _Point(x_RP, x_RP[:, -1].expand(len(self.u_NP), -1))

    def loss(self, z_NR: Tensor) -> tuple[float, Tensor]:
        """Σ loss and its gradient with respect to the logits."""
        if self.multi_label:
            loss_NR = (softplus(z_NR) - self.y_NR * z_NR) * self.judged_NR
            return float(loss_NR.sum(dtype=torch.float64)), (z_NR.sigmoid() - self.y_NR) * self.judged_NR
        log_p_NR = log_softmax(z_NR, 1)
        loss = -float(log_p_NR.gather(1, self.label_N1).sum(dtype=torch.float64))
        return loss, log_p_NR.exp_().sub_(self.y_NR)

    def scale(self, residual_NR: Tensor, strength: float) -> Tensor:
        """About 1 / sqrt of the Hessian's diagonal, (R, P)."""
        # |p − y| (1 − |p − y|) = p (1 − p)
        size_NR = residual_NR.abs()
        curvature_R = (size_NR * (1 - size_NR)).mean(0)
        # where all images are certain, the curvature comes back as soon as something moves
        curvature_R = curvature_R.clamp(min=1e-6)
        return (curvature_R[:, None] * self.square_P + strength * self.penalised_P).rsqrt()

    def solve(self, starts: list[_Point], strength: float) -> tuple[_Point, float, int]:
        """Minimise from the best of the starts: where it ends, mean objective, steps."""
        strength *= self.factor
        u_NP = self.u_NP
        found = []
        for x_RP, z_NR in starts:
            value, r_NR = self.loss(z_NR)
            found.append((value + strength / 2 * _dot(x_RP[:, :-1], x_RP[:, :-1]), x_RP, z_NR, r_NR))
        value, x_RP, z_NR, r_NR = min(found, key=lambda one: one[0])
        penalty_P, scale_RP = strength * self.penalised_P, self.scale(r_NR, strength)

        def gradient() -> Tensor:
            return (torch.addcmul(r_NR.T @ u_NP, penalty_P, x_RP) * scale_RP).flatten()

        g_D = gradient()
        memory = _Memory(g_D)
        step = 0
        while step < _MAX_STEPS:
            d_D = memory.direction(g_D)
            slope = _dot(d_D, g_D)
            if -slope <= _TOLERANCE * self.num_images:
                break
            step += 1
            move_RP = d_D.view_as(x_RP) * scale_RP
            found_length = self._length(z_NR, u_NP @ move_RP.T, x_RP, move_RP, value, slope, strength)
            if found_length is None:
                if not len(memory):
                    break
                memory = _Memory(g_D)  # rounding has spoilt what is remembered
                continue
            length, value, z_NR, r_NR = found_length
            x_RP = x_RP + length * move_RP
            g_old, g_D = g_D, gradient()
            memory.add(length * d_D, g_D - g_old)
        return _Point(x_RP, z_NR), value / self.num_images, step

    def _length(
        self,
        z_NR: Tensor,
        dz_NR: Tensor,
        x_RP: Tensor,
        move_RP: Tensor,
        value: float,
        slope: float,
        strength: float,
    ) -> tuple[float, float, Tensor, Tensor] | None:
        """A step length with the Wolfe conditions; objective, logits, residuals there. None: no descent."""
        w_RP, dw_RP = x_RP[:, :-1], move_RP[:, :-1]
        linear, square, base = _dot(w_RP, dw_RP), _dot(dw_RP, dw_RP), _dot(w_RP, w_RP)
        low, high, length = 0.0, math.inf, 1.0
        best: tuple[float, float, Tensor, Tensor] | None = None
        for _ in range(_MAX_TRIALS):
            at_NR = z_NR + length * dz_NR
            loss, r_NR = self.loss(at_NR)
            here = loss + strength / 2 * (base + 2 * length * linear + length**2 * square)
            if not here <= value + _ARMIJO * length * slope + _ROUNDING * self.num_images:
                high = length
                # the minimum of the parabola through value, slope and here, kept well inside
                guess = (
                    -slope * length**2 / (2 * (here - value - slope * length)) if math.isfinite(here) else 0.0
                )
                length = min(max(guess, low + 0.1 * (high - low)), low + 0.5 * (high - low))
                continue
            if best is None or here < best[1]:
                best = length, here, at_NR, r_NR
            if _dot(r_NR, dz_NR) + strength * (linear + length * square) >= _WOLFE * slope:
                break
            low = length  # still falling steeply: further
            length = 2 * length if math.isinf(high) else (low + high) / 2
        return best

    def in_features(self, x_RP: Tensor, strength: float, objective: float, steps: int) -> Linear:
        """In terms of the features as given, with rows for all classes."""
        x_RP = x_RP.double()
        weight_LF = x_RP.new_zeros(self.num_classes, len(self.mean_F))
        # a class without an example is never predicted; one without a counter-example says nothing
        bias_L = torch.full_like(weight_LF[:, 0], 0.0 if self.multi_label else -torch.inf)
        weight_LF[self.rows] = x_RP[:, :-1] @ self.directions_FP.double().T
        bias_L[self.rows] = x_RP[:, -1] - weight_LF[self.rows] @ self.mean_F
        return Linear(weight_LF, bias_L, strength, objective, steps)


class _Memory:
    """The last steps S and changes of the gradient Y, (M, D), and the inverse Hessian they make.

    Byrd, Nocedal and Schnabel 1994, "Representations of quasi-Newton matrices …", theorem 2.2: a few products
    with S and Y; the rest is M × M.
    """

    def __init__(self, g_D: Tensor) -> None:
        self.s_MD = self.y_MD = g_D.new_empty(0, len(g_D))

    def __len__(self) -> int:
        return len(self.s_MD)

    def add(self, s_D: Tensor, y_D: Tensor) -> None:
        """A step and the change of the gradient; nothing if the curvature along it is lost in rounding."""
        if float(s_D @ y_D) > 1e-7 * float(s_D.norm() * y_D.norm()):
            self.s_MD = torch.cat([self.s_MD[1 - _MEMORY :], s_D[None]])
            self.y_MD = torch.cat([self.y_MD[1 - _MEMORY :], y_D[None]])

    def direction(self, g_D: Tensor) -> Tensor:
        """−H g."""
        if not len(self):
            return -g_D
        sy_MM = (self.s_MD @ self.y_MD.T).double()
        yy_MM = (self.y_MD @ self.y_MD.T).double()
        sg_M, yg_M = (self.s_MD @ g_D).double(), (self.y_MD @ g_D).double()
        gamma = sy_MM[-1, -1] / yy_MM[-1, -1]
        upper_MM = sy_MM.triu()
        by_y_M = torch.linalg.solve_triangular(upper_MM, sg_M[:, None], upper=True)
        inner_M = (sy_MM.diag().diag() + gamma * yy_MM) @ by_y_M - gamma * yg_M[:, None]
        by_s_M = torch.linalg.solve_triangular(upper_MM.T, inner_M, upper=False)
        coefficient = torch.stack([by_s_M, -gamma * by_y_M]).squeeze(2).float()
        return -(gamma.float() * g_D + coefficient[0] @ self.s_MD + coefficient[1] @ self.y_MD)


def _dot(a: Tensor, b: Tensor) -> float:
    """Σ a b."""
    return float((a * b).sum(dtype=torch.float64))


def _principal(centred_NF: Tensor, largest: float = 0.0) -> Tensor:
    """(F, P) orthonormal directions in which images differ; their singular values may span 13 decades.

    One decomposition of the Gram matrix resolves singular values down to 1e-8 of the largest; what is below
    1e-6 is decomposed again, by itself. ``largest``: squared, of all that was decomposed before.
    """
    num_images, num_features = centred_NF.shape
    if num_features > num_images:
        basis_FN = torch.linalg.qr(centred_NF.T).Q
        return basis_FN @ _principal(centred_NF @ basis_FN)
    square_F, vector_FF = torch.linalg.eigh(centred_NF.T @ centred_NF)
    largest = max(largest, float(square_F[-1]))
    if float(square_F[-1]) <= _NOTHING**2 * largest:
        return vector_FF[:, :0]
    kept_F = square_F > _RESOLVED**2 * square_F[-1]
    found, rest = vector_FF[:, kept_F], vector_FF[:, ~kept_F]
    if not rest.shape[1]:
        return found
    return torch.cat([found, rest @ _principal(centred_NF @ rest, largest)], dim=1)
