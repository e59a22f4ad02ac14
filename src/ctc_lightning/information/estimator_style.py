"""How an estimator is called, coloured, marked and ordered in tables and pictures."""

from collections.abc import Iterable

from ctc_lightning.analysis.methods import MARKERS, OTHERS, SPARE, STYLE

_PAINT = [colour for _, colour in STYLE.values()]
NAMES = {
    "gaussian": ("Gaussian", SPARE[0]),
    "ksg": ("KSG", _PAINT[3]),
    "mine": ("MINE", _PAINT[0]),
    "nwj": ("NWJ", _PAINT[1]),
    "smile": ("SMILE", _PAINT[4]),
    "info_nce": ("InfoNCE", _PAINT[2]),
    "noisy_channel": ("noisy channel", SPARE[1]),
    "classifier": ("classifier", _PAINT[5]),
}


def label(estimator: str) -> str:
    """The readable name, or its own where none is known."""
    return NAMES[estimator][0] if estimator in NAMES else estimator


def colour(estimator: str) -> str:
    """Told apart by colour-blind readers; grey where the estimator is not known."""
    return NAMES[estimator][1] if estimator in NAMES else OTHERS


def marker(estimator: str) -> str:
    """Beside the colour, for print in grey."""
    return MARKERS[list(NAMES).index(estimator)] if estimator in NAMES else "."


def in_order(estimators: Iterable[str]) -> list[str]:
    """The distinct ones: those that are known first, the others by name."""
    known = list(NAMES)
    return sorted(set(estimators), key=lambda e: (known.index(e) if e in NAMES else len(known), e))
