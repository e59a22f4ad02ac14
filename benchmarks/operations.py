"""Floating-point operations of a step, by dtype: what a machine's rate is held against."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry


class OperationsByDtype(TorchDispatchMode):
    """Counts those of convolutions and matrix products, a multiplication and an addition as two.

    Attributes:
        by_dtype: operations for each dtype of the first operand.
    """

    def __init__(self) -> None:
        super().__init__()
        self.by_dtype: dict[torch.dtype, int] = defaultdict(int)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation; if torch has a formula for it, add what it gives."""
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            operand = next(arg for arg in args if isinstance(arg, Tensor))
            self.by_dtype[operand.dtype] += formula(*args, **(kwargs or {}), out_val=out)
        return out


def operations(step: Callable[[], object]) -> dict[torch.dtype, int]:
    """The operations of one call, by dtype; their sum is what torch's own counter says.

    Element-wise work (BatchNorm, ReLU, the exponentials of a softmax, optimizers) is not in it.
    """
    # torch's, the inner one, takes composite operations apart first
    with OperationsByDtype() as counter, FlopCounterMode(display=False) as whole:
        step()
    assert sum(counter.by_dtype.values()) == whole.get_total_flops(), "operations are missing from a dtype"
    return dict(counter.by_dtype)
