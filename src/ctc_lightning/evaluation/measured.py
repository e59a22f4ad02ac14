"""What a protocol returns: one number, its interval, and how it was chosen."""

from math import nan
from typing import NamedTuple


class Measured(NamedTuple):
    """One number.

    Attributes:
        metric: its name; ``val_`` before the name of a test metric: the same on the validation split.
        value: accuracies as fractions in [0, 1].
        low: of the 95 % interval; NaN without one.
        high: likewise.
        n: images, or episodes, that it is the mean of.
        chosen: the hyper-parameters, as ``C=0.1``; empty without any.
        note: what to know about it; empty if nothing.
    """

    metric: str
    value: float
    low: float = nan
    high: float = nan
    n: int = 0
    chosen: str = ""
    note: str = ""
