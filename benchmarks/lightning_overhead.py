"""What Lightning adds to a bare PyTorch loop of the same step. ``python benchmarks/lightning_overhead.py``.

B: images, F: features, D: projection
"""

from statistics import median
from typing import Any

import torch
from glyphs_epochs import EPOCHS, EpochClock, TrainerEpochs
from side_by_side import interleave, ratios, spread, start, table, verdict
from torch.nn.functional import cross_entropy, normalize
from torch.optim.lr_scheduler import LambdaLR

LIMIT = 0.15


class BareLoop(TrainerEpochs):
    """The same parts and data without the Trainer: forward, backward, step, average, queue. No log."""

    def __init__(self, *overrides: str) -> None:
        super().__init__(*overrides)
        stage: Any = next(iter(self.module.stages.values()))
        if stage.contrast is not None:
            stage.key_encoder.begin(stage.encoder(self.module.network))
        self.stage, self.epoch = stage, 0

    def __call__(self) -> float:
        """Train ``EPOCHS`` more; return the seconds of one."""
        module, stage, data = self.module.train(), self.stage, self.data
        net: Any = module.network
        optimizer = module.make_optimizer([p for p in module.parameters() if p.requires_grad])
        loader = data.train_dataloader()
        module.steps_per_epoch = len(loader)
        scheduler = LambdaLR(optimizer, module.lr_factor)
        epochs = EpochClock()
        for _ in range(EPOCHS):
            epochs.on_train_epoch_start()
            loader.sampler.set_epoch(self.epoch)
            for samples in loader:
                batch = data.on_after_batch_transfer(samples, 0)
                h_BF = net.backbone(batch.view)
                loss = cross_entropy(net.classifier(h_BF), batch.label)
                if stage.contrast is not None:
                    q_BD = normalize(net.projector(h_BF), dim=-1)
                    k_BD = stage.key_encoder(batch.key_view, q_BD)
                    keys = stage.memory.draw(q_BD, k_BD, batch)
                    loss = loss + stage.weight * stage.contrast(q_BD, keys)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                scheduler.step()
                if stage.contrast is not None:
                    stage.key_encoder.update(stage.encoder(net))
                    stage.memory.put(q_BD.detach(), k_BD, batch)
            self.epoch += 1
        return epochs.seconds()


class SilentEpochs(TrainerEpochs):
    """The Trainer, but no loss is logged: what remains of the overhead is not the log's."""

    def __init__(self, *overrides: str) -> None:
        super().__init__(*overrides)
        self.module.log_losses = self.log_nothing  # type: ignore[method-assign]

    def log_nothing(self, **losses: Any) -> None:
        """In place of ``CTCModule.log_losses``."""


def same_weights(one: TrainerEpochs, other: TrainerEpochs) -> bool:
    """Whether both trained to bit-equal weights and memories."""
    theirs = other.module.state_dict()
    return all(torch.equal(mine, theirs[name]) for name, mine in one.module.state_dict().items())


def main() -> None:
    """Time the loops of both models."""
    rounds = start(rounds=5)
    rows, overhead = [], []
    for model in ("ctc_queue", "ce"):
        options = f"model={model}", "trainer.limit_val_batches=0"
        loops = {
            "bare": BareLoop(*options),
            "Trainer": TrainerEpochs(*options),
            "silent": SilentEpochs(*options),
        }
        seconds = interleave(loops, rounds)
        assert same_weights(loops["bare"], loops["Trainer"]), "the two loops do not train the same"
        trainer, silent = (ratios(seconds[name], seconds["bare"]) for name in ("Trainer", "silent"))
        rows.append((model, spread(seconds["bare"]), spread(trainer), spread(silent)))
        overhead.append(median(trainer) - 1)
    table(("training epoch", "bare loop, s", "Trainer ×", "Trainer, no loss logged ×"), *rows)
    verdict(f"Lightning adds at most {LIMIT:.0%} to the same step", kept=max(overhead) <= LIMIT)


if __name__ == "__main__":
    main()
