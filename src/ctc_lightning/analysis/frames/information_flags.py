"""Flags of many numbers in few words: alike but for their figures, they are one with a range."""

import re
from collections.abc import Iterable
from typing import TypeVar

CEILING = "ceiling"  # in a flag: the estimator could hardly have answered more
_FIGURE = re.compile(r"\d+(?:\.\d+)?")
_RANGE = re.compile(r"\d+(?:\.\d+)?(?:–\d+(?:\.\d+)?)?")

Bearer = TypeVar("Bearer")


def merged(notes: Iterable[str]) -> list[str]:
    """``training estimate 0.20–0.35 nats above`` of two notes that say 0.20 and 0.35.

    Args:
        notes: flags, joined by "; "; merged ones as well.
    """
    return list(bearers((note, None) for note in notes))


def bearers(noted: Iterable[tuple[str, Bearer]]) -> dict[str, list[Bearer]]:
    """Each merged flag with all that bear it.

    Args:
        noted: (flags joined by "; ", what bears them).
    """
    figures: dict[str, list[list[str]]] = {}
    found: dict[str, list[Bearer]] = {}
    for note, bearer in noted:
        for flag in filter(None, note.split("; ")):
            words = _RANGE.sub("#", flag)
            figures.setdefault(words, []).append(_RANGE.findall(flag))
            found.setdefault(words, []).append(bearer)
    return {_filled(words, figures[words]): of for words, of in found.items()}


def _filled(words: str, figures: list[list[str]]) -> str:
    ranges = iter([_range(column) for column in zip(*figures, strict=True)])
    return re.sub("#", lambda _: next(ranges), words)


def _range(figures: Iterable[str]) -> str:
    every = sorted((figure for text in figures for figure in _FIGURE.findall(text)), key=float)
    return every[0] if float(every[0]) == float(every[-1]) else f"{every[0]}–{every[-1]}"
