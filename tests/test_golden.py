"""30 steps of every model on glyphs give the losses of tests/golden/losses.json: a refactor changes nothing.

A change of numerics on purpose records them anew (python tests/test_golden.py) and says so in CHANGELOG.md.
"""

import json
from pathlib import Path

import pytest
import pytorch_lightning as pl
from hydra import compose, initialize_config_dir

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.train import build

GOLDEN = Path(__file__).parent / "golden" / "losses.json"
TWO_STAGES = ["model.stages.instance.epochs=1"]  # 23 steps of the first stage, 7 of the second
MODELS = {
    "ce": [],
    "ctc_queue": [],
    "ctc_bank": [],
    "ctc_two_stage": TWO_STAGES,
    "ctc_two_stage_reference": [*TWO_STAGES, "optim=reference"],
}


class Losses(pl.Callback):
    """Keeps the loss of every step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.values.append(outputs["loss"].item())


def thirty_losses(model: str) -> list[float]:
    # float64: what differs between machines stays far below the tolerance
    overrides = [
        f"model={model}",
        *MODELS[model],
        "callbacks=none",
        "logger.csv=null",
        "paths.run_dir=unused",
    ]
    overrides += ["trainer.max_epochs=2", "trainer.precision=64-true", "trainer.enable_progress_bar=false"]
    overrides += [
        "trainer.max_steps=30",
        "trainer.limit_val_batches=0",
        "trainer.enable_checkpointing=false",
    ]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        trainer, module, data = build(compose("train", overrides=overrides))
    losses = Losses()
    trainer.callbacks.append(losses)
    trainer.fit(module, data)
    return losses.values


@pytest.mark.parametrize("model", MODELS)
def test_thirty_steps_reproduce_the_committed_losses(model: str) -> None:
    losses = thirty_losses(model)
    assert len(losses) == 30
    assert losses == pytest.approx(json.loads(GOLDEN.read_text())[model], abs=1e-5, rel=0)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({model: thirty_losses(model) for model in MODELS}, indent=1) + "\n")
