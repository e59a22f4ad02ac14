"""What happens beside the training: probes, checkpoints, provenance, RNG state, the summary."""

from ctc_lightning.callbacks.compile import Compile
from ctc_lightning.callbacks.divergence import StopWhenDiverged
from ctc_lightning.callbacks.milestones import MilestoneCheckpoint
from ctc_lightning.callbacks.preemption import Preemption
from ctc_lightning.callbacks.provenance import Provenance
from ctc_lightning.callbacks.replaced_images import ReplacedImages
from ctc_lightning.callbacks.rng_state import RandomState
from ctc_lightning.callbacks.summary import Summary
from ctc_lightning.callbacks.transfer_probe import TransferProbe
from ctc_lightning.callbacks.weight_average import WeightAverage

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
