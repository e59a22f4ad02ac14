"""Learning-rate schedules over a stage."""

from ctc_lightning.optim.schedule import Constant, Cosine, ReferenceCosine, Schedule, WarmupCosine

__all__ = ["Constant", "Cosine", "ReferenceCosine", "Schedule", "WarmupCosine"]
