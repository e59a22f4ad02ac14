"""A step with ordinary loaders against one through our data module: ``python benchmarks/bare_trainer.py``.

The same Trainer, module and images (glyphs, not augmented). Loaders yield ``(image, label, index)``: ready
batches, for which the limit holds, or single images that torch's `DataLoader` collates.
"""

from typing import Any

import torch
from glyphs_epochs import TrainerEpochs
from side_by_side import interleave, ratios, spread, start, table, verdict
from torch.utils.data import DataLoader, TensorDataset

from ctc_lightning import IndexedDataset

LIMIT = 1.03
SAME = [
    "data/augmentation=none",
    "data.key_augmentation=null",
    "trainer.limit_val_batches=0",
]


class OwnLoader(TrainerEpochs):
    """The same images from a loader."""

    def __init__(self, *overrides: str, ready: bool) -> None:
        super().__init__(*overrides)
        self.data.setup()
        standardised = list(self.data.memory_batches(0, torch.device("cpu")))
        view_N, label_N = (torch.cat([batch[part] for batch in standardised]) for part in (0, 2))
        dataset: Any = TensorDataset(view_N.contiguous(memory_format=torch.channels_last), label_N)
        size = self.data.batch_size
        if ready:
            whole = [row_B for row_B in torch.randperm(len(label_N)).split(size) if len(row_B) == size]
            self.data = DataLoader([(*dataset[row_B], row_B) for row_B in whole], batch_size=None)
        else:
            self.data = DataLoader(IndexedDataset(dataset), size, shuffle=True, drop_last=True)


def main() -> None:
    """Cross-entropy and both memories."""
    rounds = start(rounds=7)
    rows, worst = [], 0.0
    for model in ("ce", "ctc_queue", "ctc_bank"):
        words = [f"model={model}", *SAME]
        ours, ready, single = (
            TrainerEpochs(*words),
            OwnLoader(*words, ready=True),
            OwnLoader(*words, ready=False),
        )
        seconds = interleave({"ours": ours, "ready": ready, "single": single}, rounds)
        assert ours.trainer.global_step == ready.trainer.global_step == single.trainer.global_step
        steps = ours.trainer.num_training_batches
        cost = {kind: ratios(seconds[kind], seconds["ours"]) for kind in ("ready", "single")}
        worst = max(worst, sorted(cost["ready"])[rounds // 2])
        rows.append([model, spread(seconds["ours"], scale=1e3 / steps), *map(spread, cost.values())])
    table(("step", "our data module, ms", "ready batches ×", "collated images ×"), *rows)
    verdict(f"a step with a loader of one's own costs at most {LIMIT} ×", kept=worst <= LIMIT)


if __name__ == "__main__":
    main()
