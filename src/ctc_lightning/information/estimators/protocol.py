"""What an estimator of mutual information is given, and what it answers, in nats.

N: pairs, C: dimensions of x, E: dimensions of y
"""

from abc import ABC, abstractmethod
from math import inf, nan
from typing import ClassVar, Literal, NamedTuple

from torch import Tensor

from ctc_lightning.evaluation.versioned import Versioned


class Pairs(NamedTuple):
    """N independent draws of (x, y), of which I(x; y) is asked.

    Attributes:
        x_NC: (N, C) float32, finite.
        y_NE: (N, E) float32, finite; of a discrete y one-hot, E its number of values.
        clean_NE: where y is known to be f(x) + ``noise`` · ε, ε ~ N(0, 1): (N, E) float32 f(x); else None.
        noise: its standard deviation, the same in every dimension; 0: none is known.
    """

    x_NC: Tensor
    y_NE: Tensor
    clean_NE: Tensor | None = None
    noise: float = 0.0

    def rows(self, index_M: Tensor) -> "Pairs":
        """Some of the pairs."""
        clean_ME = None if self.clean_NE is None else self.clean_NE[index_M]
        return Pairs(self.x_NC[index_M], self.y_NE[index_M], clean_ME, self.noise)


class Estimate(NamedTuple):
    """Of I(x; y) on some pairs.

    Attributes:
        value: in nats.
        upper: an upper bound beside it, in nats; NaN where the estimator has none.
        ceiling: the largest ``value`` that it could give on these pairs, as log N; inf without one.
    """

    value: float
    upper: float = nan
    ceiling: float = inf


class Fitted(ABC):
    """A fitted estimator."""

    @abstractmethod
    def __call__(self, pairs: Pairs) -> Estimate:
        """The estimate on these pairs: held out, or those that it was fitted on.

        Raises:
            ValueError: too few pairs, in one sentence.
        """


class Estimator(Versioned, ABC):
    """Estimates mutual information: ``fit(train)(held_out).value``.

    Attributes:
        is_lower_bound: whether the expectation of the held-out ``value`` is never above I(x; y).
        learns: whether anything is fitted, so that the value on the training pairs says something.
        uses_x: whether it looks at x.
        saturates: whether I(x; y) may lie far above a ceiling that the value is near; of a ceiling that is
            H(y) it may not.
        needs: what y must be: features with ``noise`` of a known size, ``classes``, or dimensions that do not
            follow from each other (``independent``), as one-hot classes do; None: anything.
        settings: everything that its numbers depend on: all constructor arguments by name.
        version: of its code, see `Versioned`.
    """

    is_lower_bound: ClassVar[bool] = True
    learns: ClassVar[bool] = True
    uses_x: ClassVar[bool] = True
    saturates: ClassVar[bool] = True
    needs: Literal["noise", "classes", "independent"] | None = None

    @abstractmethod
    def fit(self, train: Pairs, *, seed: int) -> Fitted:
        """Fit on these pairs alone, on the device where they are; draws depend on ``seed`` only.

        Raises:
            ValueError: pairs that it cannot work with (too few, a batch larger than the set, constant or
                not finite, too many dimensions), in one sentence.
        """
