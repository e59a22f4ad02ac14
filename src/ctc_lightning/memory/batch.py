"""No memory beyond the batch: this step's other images. B: queries, G: all ranks' keys, D: projection."""

from torch import Tensor

from ctc_lightning.batch import Batch
from ctc_lightning.checks import one_of
from ctc_lightning.distributed import gather
from ctc_lightning.memory.protocol import Exclude, Keys, Memory, own_group


class BatchMemory(Memory):
    """K⁻ = today's keys of the other images of the global batch; k⁺ = today's key.

    Args:
        exclude: ``image`` (default) or ``class``.

    With ``trainer.accumulate_grad_batches`` the negatives are those of one micro-batch, not of the whole
    optimizer step.

    Raises:
        ValueError: any other ``exclude``: the batch holds the positive itself.
    """

    outlives_the_step = False

    def __init__(self, exclude: Exclude = "image") -> None:
        super().__init__()
        one_of("in-batch memory", ("image", "class"), exclude=exclude)
        self.exclude = exclude

    def draw(self, query_BD: Tensor, key_BD: Tensor, batch: Batch) -> Keys:
        """All ranks' keys as negatives, without gradient."""
        key_GD, index_G, label_G = gather(key_BD, batch.index, batch.label, even=batch.even)
        groups = own_group(self.exclude, batch, index_G, label_G)
        return Keys(key_BD, key_GD, None, num_stored=len(key_GD), groups=groups)
