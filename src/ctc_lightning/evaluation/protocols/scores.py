"""Transferability scores: how well a target could be learned from the features, told without learning it.

N: training images, M: drawn ones, F: features or source classes, L: target classes
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from ctc_lightning.checks import in_range
from ctc_lightning.evaluation.measured import Measured
from ctc_lightning.evaluation.protocol import Protocol, Task
from ctc_lightning.evaluation.training_free import LOCAL, draw_by_class, each_of, value_of
from ctc_lightning.metrics import LEEP, NLEEP, SFDA, HScore, LogME, NegativeConditionalEntropy

_METRICS: dict[str, Any] = {
    "logme": LogME,
    "h_score": HScore,
    "n_leep": NLEEP,
    "sfda": SFDA,
    "leep": LEEP,
    "nce": NegativeConditionalEntropy,
}
_OF_PROBABILITIES = ("leep", "nce")


class TransferabilityScores(Protocol):
    """Scores of the training split's features and labels; of all of them higher = better.

    - ``logme``: `LogME`, the evidence of a linear model, in nats per image.
    - ``h_score``: `HScore` with shrinkage, the features' variance that the classes explain, in [0, L − 1].
    - ``n_leep``: `NLEEP`, the log-likelihood by clusters of the features, in (−∞, 0].
    - ``sfda``: `SFDA`, the likelihood by a discriminant analysis, in (0, 1].
    - ``leep``, ``nce``: `LEEP` and `NegativeConditionalEntropy`, the log-likelihood by the source
      classifier's probabilities and by the class it predicts, in (−∞, 0]. Omitted for a network without a
      source classifier.

    Neither the validation nor the test split is looked at. Compare them between networks on one target: their
    scales differ from target to target. A score that cannot be computed, as of a class with too few images,
    is left out with a logged warning. Time: one thread takes 0.25 s for N = 1500, F = 64, L = 16, nearly all
    of it for ``n_leep``, which grows with N·L·(the number of directions that hold 80 % of the variance)².

    Args:
        scores: which; None: all.
        n_leep_ratio: components of N-LEEP's mixture for each class, >= 1.
        n_leep_images: N-LEEP is of at most so many images, drawn by the classes' shares with the task's
            seed; None: of all.

    Raises:
        ValueError: no or unknown ``scores``, or ``n_leep_ratio`` or ``n_leep_images`` < 1.
    """

    version = 1
    takes_multi_label = False

    def __init__(self, *, scores: Sequence[str] | None, n_leep_ratio: int, n_leep_images: int | None) -> None:
        self.scores = list(_METRICS if scores is None else dict.fromkeys(scores))
        self.n_leep_ratio, self.n_leep_images = n_leep_ratio, n_leep_images
        unknown = [score for score in self.scores if score not in _METRICS]
        if unknown or not self.scores:
            raise ValueError(
                f"scores: {', '.join(unknown) or 'none'} asked for; choose from {', '.join(_METRICS)}, or "
                "null for all."
            )
        in_range("scores", "[1, inf)", null=True, n_leep_ratio=n_leep_ratio, n_leep_images=n_leep_images)

    def measure(self, task: Task) -> list[Measured]:
        """One number for each score.

        Raises:
            ValueError: a multi-label target, only scores that need a source classifier where there is none,
                or no score can be computed.
        """
        if task.multi_label:
            raise ValueError(
                f"scores: images of {task.target} may have several labels, for which no score is defined; "
                "choose a single-label target, or leave this protocol out."
            )
        with_source = task.source_probabilities is not None
        asked = [score for score in self.scores if with_source or score not in _OF_PROBABILITIES]
        if not asked:
            raise ValueError(
                f"scores: {', '.join(self.scores)} need the source classifier's probabilities, and the "
                "network has none; choose scores of its features, as logme."
            )
        return each_of("scores", task, {score: partial(self._score, score, task) for score in asked})

    def _score(self, score: str, task: Task) -> list[Measured]:
        label_N = task.label["train"]
        given = task.source_probabilities if score in _OF_PROBABILITIES else task.features
        assert given is not None
        x_NF = given["train"]
        options = {"ratio": self.n_leep_ratio, "seed": task.seed} if score == "n_leep" else {}
        metric = _METRICS[score](x_NF.shape[1], task.num_classes, **options, **LOCAL)
        if score == "n_leep" and self.n_leep_images is not None:
            drawn_M = draw_by_class(label_N, self.n_leep_images, task.seed)
            x_NF, label_N = x_NF[drawn_M.to(x_NF.device)], label_N[drawn_M]
        seen = x_NF.argmax(1) if score == "nce" else x_NF
        return [Measured(score, value_of(metric, task.device, seen, label_N), n=len(label_N))]
