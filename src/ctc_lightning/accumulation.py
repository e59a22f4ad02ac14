"""An optimizer step's batches as one: every image has the same weight, and keys are stored together.

B: images of one micro-batch, D: projection
"""

import torch
from torch import Tensor
from torch.optim import Optimizer

from ctc_lightning.batch import Batch
from ctc_lightning.distributed import gather, world_size
from ctc_lightning.memory.protocol import Memory


class StepBatches:
    """The batches of one optimizer step: micro-batches on this rank, and what they share with other ranks.

    Lightning and DDP average gradients over A micro-batches and W ranks, whether they are full or not:
    g = (1/AW) Σ g_b. With the loss of a batch of n images scaled by n/B, and g by ABW / Σ n, the step is
    that of one batch with all Σ n images. Both factors are 1 where all batches are full.

    Attributes:
        scale: n/B of the current batch.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin a new step."""
        self.scale = 1.0
        self._num_images = 0
        self._even = True
        self._embedded: list[tuple[Tensor, Tensor, Batch]] = []

    def begin(self, batch: Batch, full_size: int) -> None:
        """Count a batch's images before its training step; ``full_size`` is B."""
        self.scale = len(batch.index) / full_size
        self._num_images += len(batch.index)
        self._even &= batch.even

    def average_gradients(self, optimizer: Optimizer, full_step: int) -> None:
        """Scale the summed gradients to the mean over the step's images; ``full_step`` is ABW."""
        grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not grads:  # Lightning's weight averaging passes over the images without a gradient
            return
        factor: float | Tensor = full_step / (self._num_images * world_size())
        if not self._even and world_size() > 1:
            count = torch.tensor([self._num_images], dtype=torch.float64, device=grads[0].device)
            factor = full_step / gather(count, even=True)[0].sum()
        if not isinstance(factor, float) or factor != 1:
            for grad in grads:
                grad.mul_(factor)

    def embed(self, query_BD: Tensor, key_BD: Tensor, batch: Batch) -> None:
        """Keep a batch's embeddings, without its images, until `store`."""
        none = batch.view.new_empty(0)
        self._embedded.append((query_BD, key_BD, batch._replace(view=none, key_view=none)))

    def store(self, memory: Memory) -> None:
        """Write the step's embeddings, if there are any, and begin a new step."""
        if self._embedded:
            memory.put_step(self._embedded)
        self.clear()
