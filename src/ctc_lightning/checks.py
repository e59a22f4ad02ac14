"""Argument checks: each raises one line with the option, its value, the limit and a remedy."""

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

_ENDS = {"[": "at least", "(": "above", "]": "at most", ")": "below"}


def in_range(
    owner: str, interval: str, *, null: bool = False, example: object = None, **options: Any
) -> None:
    """Check that each option is a finite number of an interval, or a non-empty sequence of such numbers.

    Args:
        owner: what has the options, for the message.
        interval: in mathematical notation: ``"[0, 1)"``, ``"(0, inf)"``.
        null: whether None is allowed too.
        example: a value that works, for the message.
        options: by name.

    Raises:
        ValueError: names the first option that is not, its value and the interval in words.

    Example:
        >>> in_range("queue", "[0, 1)", example=0.99, momentum=1.5)
        Traceback (most recent call last):
            ...
        ValueError: queue: momentum is 1.5; it must be at least 0 and below 1, for example 0.99.
    """
    low, high = (float(end) for end in interval[1:-1].split(","))

    def inside(value: Any) -> bool:
        return (
            _is_number(value)
            and (value > low or (value == low and interval[0] == "["))
            and (value < high or (value == high and interval[-1] == "]"))
        )

    ends = [(interval[0], low), (interval[-1], high)]
    limit = " and ".join(f"{_ENDS[bracket]} {end:g}" for bracket, end in ends if math.isfinite(end))
    given = [one for value in options.values() for one in _several(value)]
    if not limit or any(isinstance(one, float) and not math.isfinite(one) for one in given):
        limit = f"a finite number, {limit}".removesuffix(", ")
    _check(owner, options, inside, limit, example, null=null)


def count(owner: str, *, least: int = 1, null: bool = False, example: object = None, **options: Any) -> None:
    """Check that each option is a whole number of at least ``least``, or a non-empty sequence of them.

    Raises:
        ValueError: as `in_range`.

    Example:
        >>> count("queue", example=1024, size=0)
        Traceback (most recent call last):
            ...
        ValueError: queue: size is 0; it must be a whole number of at least 1, for example 1024.
    """

    def inside(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= least

    _check(owner, options, inside, f"a whole number of at least {least}", example, null=null)


def one_of(owner: str, choices: Collection[object], *, null: bool = False, **options: Any) -> None:
    """Check that each option is one of the choices, or a non-empty list of them.

    Raises:
        ValueError: names the first option that is not, its value and the choices.

    Example:
        >>> one_of("bank", ["image", "class"], exclude="none")
        Traceback (most recent call last):
            ...
        ValueError: bank: exclude is 'none'; it must be one of 'image', 'class'.
    """
    limit = f"one of {', '.join(map(repr, choices))}"
    _check(owner, options, lambda value: value in choices, limit, None, null=null)


def _check(
    owner: str,
    options: dict[str, Any],
    inside: Callable[[Any], bool],
    limit: str,
    example: object,
    *,
    null: bool = False,
) -> None:
    limit += ", or null" if null else ""
    for name, value in options.items():
        values = _several(value)
        if values and all(inside(one) or (null and one is None) for one in values):
            continue
        several = _is_sequence(value)
        shown = values if several else value
        needed = f"give at least one value, each {limit}" if several else f"it must be {limit}"
        hint = "" if example is None else f", for example {example}"
        raise ValueError(f"{owner}: {name} is {shown!r}; {needed}{hint}.")


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _several(value: Any) -> list[Any]:
    return list(value) if _is_sequence(value) else [value]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
