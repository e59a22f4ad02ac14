"""Class names: how two lists of them differ, and a classifier in the order of the other list."""

# L classes, F features

from collections.abc import Sequence

import torch
from torch import nn

_SHOWN = 3


def difference(before: Sequence[str], now: Sequence[str]) -> str:
    """Describe how ``now`` differs from ``before`` in names, order or number.

    Returns:
        One phrase, such as ``class 0 was 'cat' and is 'dog' ('cat' is gone, 'zebra' is new)``; empty if
        nothing differs, or where one of them has no names.
    """
    if not before or not now or list(before) == list(now):
        return ""
    gone = [name for name in before if name not in now]
    new = [name for name in now if name not in before]
    parts = [f"{_some(names)} {what}" for names, what in ((gone, "gone"), (new, "new")) if names]
    why = f" ({', '.join(parts)})" if parts else " (the same names in another order)"
    if len(before) != len(now):
        return f"there were {len(before)} classes and are {len(now)}{why}"
    first = next(row for row, pair in enumerate(zip(before, now, strict=True)) if len({*pair}) > 1)
    return f"class {first} was {before[first]!r} and is {now[first]!r}{why}"


def reorder(classifier: nn.Linear, before: Sequence[str], now: Sequence[str]) -> bool:
    """Bring a classifier's rows from the order ``before`` into the order ``now``, by name and in place.

    Args:
        classifier: (L, F) weight and (L,) bias.
        before: names of its L classes, in order.
        now: likewise, as they shall be.

    Returns:
        Whether that is possible: both hold the same names, each once, or nothing differs.
    """
    if not difference(before, now):
        return True
    if sorted(before) != sorted(now) or len({*now}) < len(now):
        return False
    row_L = torch.tensor([list(before).index(name) for name in now])
    with torch.no_grad():
        for tensor in classifier.parameters():
            tensor.copy_(tensor[row_L.to(tensor.device)].clone())
    return True


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more + (" is" if len(names) == 1 else " are")
