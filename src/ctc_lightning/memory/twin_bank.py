"""Two banks, one for each side of a two-way contrast. B: queries, D: projection."""

from dataclasses import replace

from torch import Tensor

from ctc_lightning.batch import Batch
from ctc_lightning.memory.bank import MemoryBank, RowDtype
from ctc_lightning.memory.protocol import Exclude, Keys, Memory


class TwinBank(Memory):
    """M_k remembers keys and meets the query; M_q remembers queries and meets the key. One draw for both.

    Args and errors as for ``MemoryBank``.

    Source: the reference's second stage, dt-tradeoff@a36516b ctc/memory.py:6-79, where M_q is
    ``memory_v1`` and M_k ``memory_v2``.
    """

    stores_positive = True

    def __init__(
        self,
        momentum: float,
        num_negatives: int | None = None,
        exclude: Exclude = "image",
        *,
        shared_negatives: bool = True,
        dtype: RowDtype = "float32",
    ) -> None:
        super().__init__()
        self.of_queries, self.of_keys = (
            MemoryBank(momentum, num_negatives, exclude, shared_negatives=shared_negatives, dtype=dtype)
            for _ in range(2)
        )

    def allocate(self, dim: int, label_N: Tensor) -> None:
        """Start both banks at random."""
        self.of_queries.allocate(dim, label_N)
        self.of_keys.allocate(dim, label_N)

    def draw(self, query_BD: Tensor, key_BD: Tensor, batch: Batch) -> Keys:
        """The query meets M_k, the key meets M_q, over the same images."""
        chosen = self.of_keys.choose(batch)
        reverse = (key_BD, self.of_queries.keys(batch, *chosen))
        return replace(self.of_keys.keys(batch, *chosen), reverse=reverse)

    def put(self, query_BD: Tensor, key_BD: Tensor, batch: Batch) -> None:
        """Average both sides into their rows."""
        self.of_queries.put(query_BD, query_BD, batch)
        self.of_keys.put(key_BD, key_BD, batch)

    def fill(self, query_BD: Tensor, key_BD: Tensor, batch: Batch) -> None:
        """Overwrite both sides' rows."""
        self.of_queries.fill(query_BD, query_BD, batch)
        self.of_keys.fill(key_BD, key_BD, batch)
