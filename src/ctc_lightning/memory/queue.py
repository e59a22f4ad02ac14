"""A first-in, first-out queue of the most recent keys. B: new keys of all ranks, K: slots, D: projection."""

import logging
from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor, nn

from ctc_lightning.batch import Batch
from ctc_lightning.checks import count, one_of
from ctc_lightning.distributed import gather
from ctc_lightning.memory.protocol import Exclude, Keys, Memory, own_group

log = logging.getLogger(__name__)


class KeyQueue(Memory):
    """K⁻ = the last K keys of all ranks; k⁺ = today's key. Slots that were never written are no keys.

    Args:
        size: K >= 1.
        exclude: ``image`` (default) keeps a query from older keys of its own image, ``class`` from its
            whole class, ``none`` from nothing.

    Raises:
        ValueError: ``size`` < 1 or an unknown ``exclude``.

    Source: He et al. 2020, arXiv 1911.05722, section 3.2. Here the size need not be a multiple of the
    batch, labels and image numbers travel with the keys, and empty slots are left out, not random.
    """

    key_KD: Tensor
    index_K: Tensor
    label_K: Tensor
    cursor: Tensor

    def __init__(self, size: int, exclude: Exclude = "image") -> None:
        super().__init__()
        count("queue", example=1024, size=size)
        one_of("queue", get_args(Exclude), exclude=exclude)
        self.size = size
        self.exclude = exclude
        self._num_written = 0
        self.register_load_state_dict_post_hook(_count_written)

    def allocate(self, dim: int, label_N: Tensor | None = None) -> None:
        """K empty slots: zero keys of image −1."""
        num_images = 0 if label_N is None else len(label_N)
        if self.size > num_images > 0:
            log.info(
                "queue: size is %d, above the %d training images: up to %d keys of each image, from as "
                "many epochs.",
                self.size,
                num_images,
                -(-self.size // num_images),
            )
        self.register_buffer("key_KD", torch.zeros(self.size, dim))
        self.register_buffer("index_K", torch.full((self.size,), -1))
        self.register_buffer("label_K", torch.full((self.size,), -1))
        self.register_buffer("cursor", torch.zeros((), dtype=torch.int64))

    def draw(self, query_BD: Tensor, key_BD: Tensor, batch: Batch) -> Keys:
        """Today's keys as positives, all written slots as negatives."""
        written = slice(self._num_written)
        groups = own_group(self.exclude, batch, self.index_K[written], self.label_K[written])
        return Keys(key_BD, self.key_KD[written], None, num_stored=self.size, groups=groups)

    def put_step(self, batches: Sequence[tuple[Tensor, Tensor, Batch]]) -> None:
        """Write one micro-batch after the other: all ranks' first ones are older than their second ones."""
        for batch in batches:
            self.put(*batch)

    @torch.no_grad()
    def put(self, query_BD: Tensor, key_BD: Tensor, batch: Batch) -> None:
        """Write the batch's keys over the oldest; of more than K keys the last K remain."""
        key_BD, index_B, label_B = gather(key_BD, batch.index, batch.label, even=batch.even)
        written = torch.arange(len(key_BD), device=self.cursor.device)[-self.size :]
        slot = (self.cursor + written) % self.size
        self.key_KD[slot] = key_BD[-self.size :].to(self.key_KD.dtype)
        self.index_K[slot] = index_B[-self.size :]
        self.label_K[slot] = label_B[-self.size :]
        self.cursor.add_(len(key_BD)).remainder_(self.size)
        self._num_written = min(self._num_written + len(key_BD), self.size)


def _count_written(queue: nn.Module, _: object) -> None:
    """Count the written slots of a checkpoint once, so that no training step has to ask the device."""
    assert isinstance(queue, KeyQueue)
    queue._num_written = int((queue.index_K >= 0).sum())
