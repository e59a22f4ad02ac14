"""Which images make up each batch of an epoch: a function of seed, epoch and rank, without state."""

# N images of the set; R ranks; B images per rank and batch

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

BatchRows = tuple[NDArray[np.int64], int | None]
"""(B,) row numbers and a seed: no tensor, which would take shared memory on its way to a worker."""


class EpochBatches(Sampler[BatchRows]):
    """Yields ``(index, seed)`` for every batch of one rank's share of an epoch.

    One order of all N images per epoch is cut into global batches of R·B images, and each of those into R
    parts, of which rank r takes the r-th: R ranks with B images see together what one rank with R·B sees.
    Where N is not a multiple of R·B, either the remainder is dropped, or the N images are spread evenly
    over ⌈N / (R·B)⌉ global batches of at most R·B. Every rank yields the same number of batches.

    Order and seeds follow from (seed, epoch, batch, rank) alone, so any epoch can be had without the
    earlier ones, and no global random state is read or written.

    Args:
        num_images: N.
        batch_size: B, the largest number of images in a rank's batch.
        seed: >= 0; the root of the order and of the augmentation seeds. None: no shuffling and no
            augmentation, the batches carry None as their seed.
        shuffle: a new random order every epoch, otherwise rows 0..N-1.
        drop_last: drop the N mod R·B images that do not fill a global batch.
        rank: r, 0 <= r < R.
        world_size: R.

    Raises:
        ValueError: fewer images than it takes to give every rank its share of every batch; shuffling without
            a seed.
    """

    def __init__(
        self,
        num_images: int,
        batch_size: int,
        *,
        seed: int | None = None,
        shuffle: bool = False,
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if shuffle and seed is None:
            raise ValueError("A shuffled epoch has no seed: give one, or set shuffle=False.")
        global_size = batch_size * world_size
        self.num_batches = num_images // global_size if drop_last else -(-num_images // global_size)
        if self.num_batches == 0 or num_images < self.num_batches * world_size:
            raise ValueError(
                f"{num_images} images cannot give {world_size} process(es) batches of {batch_size}: "
                "change the batch size, or use fewer processes or more images."
            )
        self.num_used = self.num_batches * global_size if drop_last else num_images
        self.num_images, self.batch_size = num_images, batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.begun = (-1, 0)

    def begin_at(self, epoch: int, batch: int) -> None:
        """Leave out the first batches of one epoch, which a resumed training has seen; ``len`` stays."""
        self.begun = epoch, batch

    def set_epoch(self, epoch: int) -> None:
        """Go to ``epoch`` >= 0; takes effect with the next iteration. Lightning calls it every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[BatchRows]:
        epoch = self.epoch
        global_batches = np.array_split(self._order(epoch)[: self.num_used], self.num_batches)
        first = self.begun[1] if self.begun[0] == epoch else 0
        for batch, index in enumerate(global_batches[first:], start=first):
            index_B = np.array_split(index, self.world_size)[self.rank]
            yield index_B, self._augmentation_seed(epoch, batch)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if not self.shuffle:
            return np.arange(self.num_images)
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch,)))
        return rng.permutation(self.num_images)

    def _augmentation_seed(self, epoch: int, batch: int) -> int | None:
        if self.seed is None:
            return None
        sequence = np.random.SeedSequence(self.seed, spawn_key=(epoch, batch, self.rank))
        return int(sequence.generate_state(1, np.uint64)[0])
