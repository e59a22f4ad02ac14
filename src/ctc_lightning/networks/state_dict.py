"""The one comparison of two state dicts."""

from collections.abc import Iterable, Mapping

from torch import Tensor

_SHOWN = 3


def differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """What keeps ``found`` from being loaded strictly where ``expected`` is; "" if nothing does.

    Returns:
        ``lacks a, b, c and 4 more; also holds d; has e of shape (1,) instead of (64, 3, 7, 7)``.
    """
    shapes = [
        f"{name} of shape {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    parts = {
        "lacks": [name for name in expected if name not in found],
        "also holds": [name for name in found if name not in expected],
        "has": shapes,
    }
    return "; ".join(f"{verb} {first(names)}" for verb, names in parts.items() if names)


def first(names: Iterable[str]) -> str:
    """The first three names, and how many more there are."""
    names = list(names)
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if names[_SHOWN:] else "")
