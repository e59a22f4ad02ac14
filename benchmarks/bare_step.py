"""A training step of `CTCModule` as a configuration composes it, on random images: no Lightning, no loader.

B: images, C: channels, H: height, W: width, K: keys, N: training images, D: projection
"""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor
from torch.nn.functional import normalize

from ctc_lightning.batch import Batch
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.memory import KeyQueue
from ctc_lightning.module import CTCModule

NUM_BATCHES = 2  # that are shown by turns


class BareStep:
    """Forward, loss, backward, optimizer step, moving average, memory: one call is one step.

    Args:
        overrides: of ``conf/train.yaml``; the data are replaced, all else is as configured.
        num_images: N.
        num_classes: of the labels, which are random.
        image_size: H = W.
        batch_size: B.
        device: where all of it is.
        precision: autocast's dtype of the forward pass; None: none, float32.
    """

    def __init__(
        self,
        overrides: Sequence[str],
        *,
        num_images: int,
        num_classes: int,
        image_size: int,
        batch_size: int,
        device: str = "cpu",
        precision: torch.dtype | None = None,
    ) -> None:
        torch.manual_seed(0)
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            cfg = compose("train", list(overrides))
        self.label_N = torch.randint(num_classes, (num_images,))
        module = CTCModule(
            network=instantiate(
                cfg.network, num_classes=num_classes, image_channels=3, image_size=image_size
            ),
            stages=dict(instantiate(cfg.model.stages)),
            optimizer=instantiate(cfg.optim.optimizer),
            schedule=instantiate(cfg.optim.schedule),
            label_N=self.label_N,
            max_epochs=1,
            label_smoothing=cfg.label_smoothing,
            decay_norm_and_bias=cfg.optim.decay_norm_and_bias,
        )
        module.log_losses = log_nothing  # type: ignore[method-assign]
        self.module = module.to(device).train()
        self.module.stage_name = next(iter(module.stages))
        self.optimizer = module.new_optimizer()
        self.device, self.precision = device, precision
        two_views = cfg.data.key_augmentation is not None
        self.batches = [self.random_batch(batch_size, image_size, two_views) for _ in range(NUM_BATCHES)]
        self.next_batch = cycle(self.batches)
        self.begin()

    def random_batch(self, batch_size: int, image_size: int, two_views: bool) -> Batch:
        """Noise for images, of N different ones; the key's view is another one where the method has two."""
        view, key_view = (self.random_views(batch_size, image_size) for _ in range(2))
        index_B = torch.randperm(len(self.label_N))[:batch_size]
        label_B = self.label_N[index_B].to(self.device)
        return Batch(view, key_view if two_views else view, label_B, index_B.to(self.device))

    def random_views(self, batch_size: int, image_size: int) -> Tensor:
        """(B, 3, H, W) in the network's memory format."""
        view_BCHW = torch.randn(batch_size, 3, image_size, image_size, device=self.device)
        return view_BCHW.to(memory_format=torch.channels_last)

    def begin(self) -> None:
        """Enter the stage as training does; a queue is timed when it is full."""
        stage = self.module.stage
        if stage.contrast is None:
            return
        stage.key_encoder.begin(stage.encoder(self.module.network))
        if isinstance(stage.memory, KeyQueue):
            index_K = torch.randint(len(self.label_N), (stage.memory.size,))
            key_KD = normalize(torch.randn(len(index_K), stage.memory.key_KD.shape[1]), dim=-1)
            views = torch.empty(0)
            batch = Batch(views, views, self.label_N[index_K].to(self.device), index_K.to(self.device))
            stage.memory.put(key_KD.to(self.device), key_KD.to(self.device), batch)

    def __call__(self) -> None:
        """Train on the next batch."""
        module, stage, batch = self.module, self.module.stage, next(self.next_batch)
        dtype = self.precision or torch.bfloat16  # autocast knows no float32, even where it is off
        with torch.autocast(self.device, dtype, enabled=self.precision is not None):
            outputs = module.training_step(batch, 0)
        self.optimizer.zero_grad()
        outputs["loss"].backward()
        self.optimizer.step()
        if stage.contrast is not None:
            stage.key_encoder.update(stage.encoder(module.network))
            stage.memory.put(outputs["query"], outputs["key"], batch)


def log_nothing(**losses: Any) -> None:
    """In place of ``CTCModule.log_losses``, which needs a Trainer."""
