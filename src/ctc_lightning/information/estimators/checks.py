"""Refuses pairs that no estimator can work with. N: pairs, C: dimensions of x, E: dimensions of y."""

from torch import Tensor

from ctc_lightning.information.estimators.protocol import Pairs


def check_pairs(estimator: str, pairs: Pairs, *, at_least: int, uses_x: bool = True) -> None:
    """Enough pairs, finite, and not all the same.

    Args:
        estimator: what errors call it.
        pairs: to fit on.
        at_least: so many of them.
        uses_x: whether x matters.

    Raises:
        ValueError: fewer than ``at_least``; a value that is not finite; all x, or all y, are the same.
    """
    check_readable(estimator, pairs, at_least=at_least, uses_x=uses_x)
    for name, values in _used(pairs, uses_x):
        if bool((values == values[0]).all()):
            raise ValueError(
                f"{estimator}: all {len(values)} pairs have the same {name}, so that there is nothing to "
                "measure; look whether the features have collapsed, or choose other pairs."
            )


def check_readable(estimator: str, pairs: Pairs, *, at_least: int = 1, uses_x: bool = True) -> None:
    """Enough pairs, and finite: what held-out pairs must be.

    Raises:
        ValueError: fewer than ``at_least``; a value that is not finite.
    """
    num = len(pairs.y_NE)
    if num < at_least:
        raise ValueError(
            f"{estimator}: {num} pairs, at least {at_least} are needed; use more images or fewer folds."
        )
    for name, values in _used(pairs, uses_x):
        assert len(values) == num, f"{len(values)} {name} for {num} y"
        if bad := int((~values.isfinite().flatten(1).all(1)).sum()):
            raise ValueError(
                f"{estimator}: {bad} of {num} pairs have a value of {name} that is not finite; look for the "
                "checkpoint or the image that it comes from, or leave these pairs out."
            )


def _used(pairs: Pairs, uses_x: bool) -> list[tuple[str, Tensor]]:
    """What is looked at, by the name that errors give it."""
    used = [("y", pairs.y_NE)]
    if uses_x:
        used.append(("x", pairs.x_NC))
    if pairs.clean_NE is not None:
        used.append(("clean y", pairs.clean_NE))
    return used
