"""How much x says of a class: its entropy less a probe's held-out cross-entropy.

N: pairs, C: dimensions of x, E: classes, H: hidden units
"""

import warnings
from collections.abc import Callable, Iterator, Sequence

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from torch import Tensor
from torch.nn.functional import cross_entropy

from ctc_lightning.checks import count, in_range
from ctc_lightning.data.splits import hold_out
from ctc_lightning.evaluation.logistic_regression import fit_path
from ctc_lightning.evaluation.scaling import Scaling, fit_scaling
from ctc_lightning.information.estimators.checks import check_pairs, check_readable
from ctc_lightning.information.estimators.protocol import Estimate, Estimator, Fitted, Pairs

Logits = Callable[[Tensor], Tensor]  # (N, C) to (N, E) float64


class ClassifierBound(Estimator):
    """I(x; y) = H(y) − H(y | x) ≥ H(y) − CE, in nats, of a discrete y, one-hot.

    CE is the mean of −log q(y | x) over held-out pairs. q is fitted on others, so that its expectation is
    not below H(y | x), whatever q is. H(y) is the entropy of the held-out pairs' class frequencies. In
    expectation it is below H(y), by about (E − 1) / 2N nats: an entropy is concave. So the whole is a lower
    bound in expectation. A q that does not look at x gives at most 0, on any draw: no such q has a lower CE
    than these frequencies.

    q is the softmax of logits that are linear in x, or of a network with one hidden layer: with weights W

        min Σ_n CE(z_n, y_n) + (λ/2) |W|²,   z the standardised x, biases free.

    The λ with the lowest CE on an inner split is taken, then everything is fitted anew on all pairs.
    ``ceiling`` is the entropy of the held-out frequencies.

    Args:
        strengths: the values of λ to try, each above 0.
        validation: share of the pairs that chooses λ, of each class its part; in (0, 1).
        hidden_dim: rectified hidden units, fitted on the CPU; None: linear.

    Raises:
        ValueError: no or wrong ``strengths``, ``validation`` or ``hidden_dim``; in use: y is not one-hot, a
            class has fewer than 2 pairs to fit on, values of x that are not finite or all the same.
    """

    version = 1
    saturates = False
    needs = "classes"

    def __init__(
        self, *, strengths: Sequence[float], validation: float, hidden_dim: int | None = None
    ) -> None:
        in_range("classifier bound", "(0, inf)", strengths=list(strengths))
        in_range("classifier bound", "(0, 1)", example=0.2, validation=validation)
        count("classifier bound", null=True, hidden_dim=hidden_dim)
        self.strengths = sorted((float(strength) for strength in strengths), reverse=True)
        self.validation = validation
        self.hidden_dim = hidden_dim

    def fit(self, train: Pairs, *, seed: int) -> "FittedClassifier":
        """Choose λ, then fit on all pairs; ``seed`` draws the inner split and the hidden units."""
        label_N, num_classes = _labels(train), train.y_NE.shape[1]
        check_pairs("classifier bound", train, at_least=4)
        count_E = label_N.bincount(minlength=num_classes)
        if int(count_E.min()) < 2:
            rare = int(count_E.argmin())
            raise ValueError(
                f"classifier bound: class {rare} has {int(count_E[rare])} of {len(label_N)} pairs to fit on, "
                "at least 2 are needed; leave the class out, or use more images."
            )
        strengths = self.strengths
        if len(strengths) > 1:
            num = min(max(1, round(self.validation * len(label_N))), len(label_N) - num_classes)
            kept, held = hold_out(label_N.cpu(), num, seed)
            losses = [
                (float(cross_entropy(logits(train.x_NC[held]), label_N[held])), strength)
                for strength, logits in self._fits(
                    train.x_NC[kept], label_N[kept], num_classes, strengths, seed
                )
            ]
            strengths = [min(losses)[1]]
        ((_, logits),) = self._fits(train.x_NC, label_N, num_classes, strengths, seed)
        return FittedClassifier(logits, num_classes)

    def _fits(
        self, x_NC: Tensor, label_N: Tensor, num_classes: int, strengths: Sequence[float], seed: int
    ) -> Iterator[tuple[float, Logits]]:
        """λ and logits, from the strongest."""
        scaling = fit_scaling(x_NC, "standardised")
        assert scaling is not None
        z_NC = scaling(x_NC)
        if self.hidden_dim is None:
            for linear in fit_path(z_NC, label_N, num_classes, strengths):
                yield linear.strength, _After(scaling, linear.__call__)
            return
        for strength in strengths:
            yield strength, _After(scaling, _Hidden(z_NC, label_N, self.hidden_dim, strength, seed))


class FittedClassifier(Fitted):
    """A probe."""

    def __init__(self, logits: Logits, num_classes: int) -> None:
        self._logits, self._num_classes = logits, num_classes

    def __call__(self, pairs: Pairs) -> Estimate:
        """H(y) − CE on these pairs."""
        check_readable("classifier bound", pairs)
        label_N = _labels(pairs)
        assert pairs.y_NE.shape[1] == self._num_classes, "the classes are those of the fit"
        share_E = label_N.bincount(minlength=self._num_classes).double() / len(label_N)
        entropy = float(torch.special.entr(share_E).sum())
        return Estimate(entropy - float(cross_entropy(self._logits(pairs.x_NC), label_N)), ceiling=entropy)


class _After:
    """Logits of standardised x."""

    def __init__(self, scaling: Scaling, logits: Logits) -> None:
        self._scaling, self._logits = scaling, logits

    def __call__(self, x_NC: Tensor) -> Tensor:
        return self._logits(self._scaling(x_NC))


class _Hidden:
    """The network with one hidden layer. Any stop of its optimizer leaves a bound, so warnings are off."""

    def __init__(self, z_NC: Tensor, label_N: Tensor, hidden_dim: int, strength: float, seed: int) -> None:
        # scikit-learn divides its penalty by N, as its loss
        network = MLPClassifier(
            (hidden_dim,), solver="lbfgs", alpha=strength, max_iter=200, random_state=seed
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            network.fit(z_NC.cpu().numpy(), label_N.cpu().numpy())
        self._weight_CH, self._weight_HE = (
            torch.from_numpy(weight).to(z_NC.device) for weight in network.coefs_
        )
        self._bias_H, self._bias_E = (torch.from_numpy(bias).to(z_NC.device) for bias in network.intercepts_)

    def __call__(self, z_NC: Tensor) -> Tensor:
        h_NH = (z_NC @ self._weight_CH + self._bias_H).relu()
        logits_NE = h_NH @ self._weight_HE + self._bias_E
        # of two classes scikit-learn has the logit of the second
        return logits_NE if logits_NE.shape[1] > 1 else torch.nn.functional.pad(logits_NE, (1, 0))


def _labels(pairs: Pairs) -> Tensor:
    """(N,) int64 of the one-hot y."""
    y_NE = pairs.y_NE
    wrong_N = ((y_NE != 0) & (y_NE != 1)).any(1) | (y_NE.sum(1) != 1)
    if y_NE.shape[1] < 2 or bool(wrong_N.any()):
        raise ValueError(
            f"classifier bound: y has {y_NE.shape[1]} columns, and {int(wrong_N.sum())} of {len(y_NE)} rows "
            "are not one-hot; it needs a class with at least 2 values, for other y choose another estimator."
        )
    return y_NE.argmax(1)
