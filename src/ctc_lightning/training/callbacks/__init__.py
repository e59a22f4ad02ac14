"""What happens beside the training: probes, checkpoints, provenance, RNG state, the summary."""

from ctc_lightning.training.callbacks.compile import Compile
from ctc_lightning.training.callbacks.divergence import StopWhenDiverged
from ctc_lightning.training.callbacks.milestones import MilestoneCheckpoint
from ctc_lightning.training.callbacks.preemption import Preemption
from ctc_lightning.training.callbacks.provenance import Provenance
from ctc_lightning.training.callbacks.replaced_images import ReplacedImages
from ctc_lightning.training.callbacks.rng_state import RandomState
from ctc_lightning.training.callbacks.summary import Summary
from ctc_lightning.training.callbacks.transfer_probe import TransferProbe
from ctc_lightning.training.callbacks.weight_average import WeightAverage

__all__ = [
    "Compile",
    "MilestoneCheckpoint",
    "Preemption",
    "Provenance",
    "RandomState",
    "ReplacedImages",
    "StopWhenDiverged",
    "Summary",
    "TransferProbe",
    "WeightAverage",
]
