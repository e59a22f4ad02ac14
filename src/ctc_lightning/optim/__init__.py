"""Learning rates over a stage and with the global batch, and which parameters are decayed."""

from ctc_lightning.optim.parameter_groups import parameter_groups, scaled_lr
from ctc_lightning.optim.schedule import (
    Constant,
    Cosine,
    LinearWarmupCosine,
    ReferenceCosine,
    Schedule,
    WarmupCosine,
)

__all__ = [
    "Constant",
    "Cosine",
    "LinearWarmupCosine",
    "ReferenceCosine",
    "Schedule",
    "WarmupCosine",
    "parameter_groups",
    "scaled_lr",
]
