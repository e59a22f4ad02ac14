"""What is searched: Hydra's words for sweeps as Optuna's distributions."""

from importlib import import_module
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep


def load_optuna() -> Any:
    """The module, which not every installation has.

    Raises:
        ValueError: it is not installed.
    """
    try:
        return import_module("optuna")
    except ImportError as error:
        raise ValueError(
            "hydra/sweeper=optuna needs optuna, which is not installed: pip install 'ctc-lightning[optuna]'"
        ) from error


def distribution_of(override: Override) -> Any:
    """One override as a distribution of ``optuna.distributions``.

        a=1,2   a=choice(x,y)          one of these, without an order; as the text of an override
        a=range(low, high, step=s)     low, low + s, …, below high
        a=interval(low, high)          a real number;    a=int(interval(low, high))   a whole one
        a=tag(log, interval(…))        evenly on a logarithmic scale

    Raises:
        ValueError: bounds that cannot be; Optuna is not installed.
    """
    distributions = load_optuna().distributions

    def number(value: object) -> Any:
        return distributions.IntDistribution if isinstance(value, int) else distributions.FloatDistribution

    try:
        swept = override.value()
        if isinstance(swept, IntervalSweep):
            return number(swept.start)(swept.start, swept.end, log="log" in swept.tags)
        if isinstance(swept, RangeSweep):
            values = list(swept.range())
            return number(values[0])(min(values), max(values), step=abs(swept.step))
        texts = dict.fromkeys(override.sweep_string_iterator())
        return distributions.CategoricalDistribution(list(texts))
    except ValueError as error:
        raise ValueError(f"{override.input_line} cannot be searched: {error}") from error
