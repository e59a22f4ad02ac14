"""Cross-entropy plus a contrast with the network's own past, as equations.

B: images, F: features, D: projection, K: negatives, N: training images (suffixes name tensor axes)
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.functional import cross_entropy, normalize
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics.classification import MulticlassAccuracy

from ctc_lightning.accumulation import StepBatches
from ctc_lightning.batch import Prediction
from ctc_lightning.batch_forms import BatchReader, numbers_of, parts_of
from ctc_lightning.checks import in_range
from ctc_lightning.data.data_module import ImageDataModule
from ctc_lightning.data.record import checkpoint_record
from ctc_lightning.distributed import gather_objects, rank, world_size
from ctc_lightning.epoch_means import EpochMeans, log_epoch
from ctc_lightning.metrics.classifier_scores import ClassifierScores
from ctc_lightning.networks.batch_norm import OF_ONE_RANK
from ctc_lightning.networks.eval_mode import evaluating
from ctc_lightning.networks.network import Network
from ctc_lightning.optim.parameter_groups import parameter_groups, scaled_lr
from ctc_lightning.optim.schedule import Schedule
from ctc_lightning.presets import Configured
from ctc_lightning.stage import Stage, StageSchedule
from ctc_lightning.training_images import check_loader, check_saved, images_of, memory_batches, saved_labels
from ctc_lightning.training_length import lay_out, num_steps, refuse_callbacks

log = logging.getLogger(__name__)


class CTCModule(Configured):
    """L = CE(W h, y) + λ · contrast(q, past keys), h = f(x), q = g(h)/|g(h)|, stage by stage.

    Args:
        network: f (backbone), g (projector) and W (classifier).
        stages: by name, in order; each has its own λ, key encoder, memory and contrast.
        optimizer: a constructor ``parameters -> Optimizer``, for example a partial ``torch.optim.SGD``.
        schedule: the learning-rate factor over each stage.
        label_N: (N,) int64 labels of the training images; their order is that of ``Batch.index``. None: they
            are learnt from the loader when training begins.
        max_epochs: the length of the training; None: the trainer's.
        label_smoothing: ε in [0, 1) of the cross-entropy.
        lr_base_batch: the global batch that the optimizer's lr is meant for, see `scaled_lr`; None: any.
        decay_norm_and_bias: see `parameter_groups`.

    Raises:
        ValueError: stages that do not fit the training's length, the network or the data.

    Source: method of Contrastive Temporal Coding, arXiv 2203.03871; two stages as in dt-tradeoff@a36516b
    train_ctc.py.
    """

    def __init__(
        self,
        network: Network,
        stages: Mapping[str, Stage],
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        schedule: Schedule,
        label_N: Tensor | None = None,
        max_epochs: int | None = None,
        *,
        label_smoothing: float = 0.0,
        lr_base_batch: int | None = None,
        decay_norm_and_bias: bool = True,
    ) -> None:
        super().__init__()
        in_range("CTCModule", "[0, 1)", example=0.1, label_smoothing=label_smoothing)
        self.network = network
        self.max_epochs = max_epochs
        if max_epochs is not None:
            self.stage_schedule = StageSchedule(stages, max_epochs)
        if network.projector is not None and not any(stage.contrast for stage in stages.values()):
            raise ValueError(
                "the network has a projector, but no stage contrasts embeddings; set network.projector=null."
            )
        for name, stage in stages.items():
            stage.build(name, network, label_N)
        self.stages = nn.ModuleDict(stages)
        self.label_N = label_N
        self.images_per_batch: int | None = None
        self.read = BatchReader(network, stages.values())
        self.stage_name: str | None = None
        self.make_optimizer = optimizer
        self.lr_base_batch = lr_base_batch
        self.decay_norm_and_bias = decay_norm_and_bias
        self.label_smoothing = label_smoothing
        self.lr_schedule = schedule
        self.step_batches = StepBatches()
        self.losses = EpochMeans()
        if network.classifier.out_features < 2:
            raise ValueError("the network has 1 class, must have at least 2: use data of several classes.")
        self.val_top1 = MulticlassAccuracy(network.classifier.out_features, average="micro")
        self.test_scores = ClassifierScores(network.classifier.out_features)

    @property
    def stage(self) -> Stage:
        """The stage that training is in."""
        assert self.stage_name is not None, "no stage has begun"
        return self.stages[self.stage_name]  # type: ignore[return-value]

    def forward(self, view: Tensor) -> Tensor:
        """Class logits (B, C) of images (B, channels, H, W)."""
        return self.network(view)

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """One step's loss; queries and keys go on to ``on_train_batch_end``."""
        net, stage, batch = self.network, self.stage, self.read(batch)

        h_BF = net.backbone(batch.view)
        loss_ce = cross_entropy(net.classifier(h_BF), batch.label, label_smoothing=self.label_smoothing)
        if stage.contrast is None:
            self.losses.add(len(h_BF), loss=loss_ce)
            return {"loss": loss_ce}

        q_BD = normalize(stage.projector_of(net)(h_BF), dim=-1)
        k_BD = stage.key_encoder(batch.key_view, q_BD)  # unit norm, no gradient to the network
        keys = stage.memory.draw(q_BD, k_BD, batch)  # k⁺, K⁻ and which pairs may meet
        loss_contrast = stage.contrast(q_BD, keys)  # −log p(k⁺ | q; τ)

        loss = loss_ce + stage.weight * loss_contrast  # CE + λ · contrast
        self.losses.add(len(h_BF), loss=loss, ce=loss_ce, contrast=loss_contrast)
        return {"loss": loss, "query": q_BD.detach(), "key": k_BD.detach()}

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Remember the optimizer step's batches, last of all: no query meets a key of its own step."""
        if self.stage.contrast is not None:
            self.step_batches.embed(outputs["query"], outputs["key"], self.read(batch))
        self.read.clear()
        if self.trainer.is_last_batch or (batch_idx + 1) % self.trainer.accumulate_grad_batches == 0:
            self.step_batches.store(self.stage.memory)
        if self.trainer.is_last_batch:
            self.share_batch_norm()

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """θ ← θ − step, then θ' ← μ θ' + (1 − μ) θ: once per optimizer step, not per micro-batch."""
        super().optimizer_step(*args, **kwargs)
        if self.stage.contrast is not None:
            self.stage.key_encoder.update(self.stage.encoder(self.network))

    # ------------------------------------------------------------------------------- training images

    def setup(self, stage: str) -> None:
        """Learn from the loader how many images there are, before weights are restored."""
        if stage == "fit":
            self.stage_name = None
            refuse_callbacks(self.trainer)
            if self.label_N is None:
                self.allocate(images_of(self.trainer, self.stages).label_N)  # type: ignore[arg-type]

    def allocate(self, label_N: Tensor) -> None:
        """Make the memories for the images with these labels, (N,) int64, unless they have been made."""
        if self.label_N is None:
            for stage in self.stages.values():
                stage.allocate(self.network, label_N)  # type: ignore[operator]
            self.label_N = label_N
        self.read.num_images = self.num_images

    def make_memories(self, state: Mapping[str, Tensor]) -> None:
        """Make the memories for a checkpoint's images, unless they have been made."""
        label_N = saved_labels(state)
        self.allocate(torch.empty(0, dtype=torch.int64) if label_N is None else label_N)
        check_saved(self.num_images, label_N)

    @property
    def num_images(self) -> int | None:
        """N, of the training images; None: not known."""
        return None if self.label_N is None else len(self.label_N) or None

    # ------------------------------------------ several batches in one step: micro-batches and ranks

    def on_train_start(self) -> None:
        """Forget the batches of a step that another training did not finish."""
        self.step_batches.clear()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Count the step's images where it has several batches."""
        if self.batches_per_step > 1:
            self.step_batches.begin(self.read(batch), self.images_per_batch or 1)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """∂ (n/B) L: a batch that is not full counts for less, image by image the same."""
        scale = self.step_batches.scale
        super().backward(loss if scale == 1 else loss * scale, *args, **kwargs)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """∂L ← the mean over all images of the step."""
        if self.batches_per_step > 1:
            self.step_batches.average_gradients(
                optimizer, (self.images_per_batch or 1) * self.batches_per_step
            )

    @property
    def batches_per_step(self) -> int:
        """Micro-batches of all ranks in an optimizer step."""
        return self.trainer.world_size * self.trainer.accumulate_grad_batches

    def share_batch_norm(self) -> None:
        """Take rank 0's running statistics at an epoch's end, before anything is measured or frozen."""
        if self.trainer.world_size > 1:
            for buffer in self.running_statistics().values():
                distributed.broadcast(buffer, src=0)

    def running_statistics(self) -> dict[str, Tensor]:
        """BatchNorm's buffers by name, of which each rank has its own: not those of SyncBatchNorm."""
        return {
            f"{name}.{key}": buffer
            for name, layer in self.named_modules()
            if isinstance(layer, OF_ONE_RANK)
            for key, buffer in layer.named_buffers()
        }

    # ---------------------------------------------------------------------------------------- stages

    def on_train_epoch_start(self) -> None:
        """Enter the stage that this epoch belongs to."""
        self.losses.clear()
        name = self.stage_schedule.at(self.current_epoch).name
        if name != self.stage_name:
            self.stage_name = name
            self.begin_stage(self.stage)

    def on_train_epoch_end(self) -> None:
        """Log the epoch's mean losses, of rank 0's images: no step waits for the other ranks."""
        losses = self.losses.means()
        log_epoch(self.trainer, self, {f"train/{name}": mean for name, mean in losses.items()})
        self.losses.clear()

    def begin_stage(self, stage: Stage) -> None:
        """Set the stage's weight decay, let its key encoder copy today's network, fill its memory."""
        for group in self.trainer.optimizers[0].param_groups:
            group.setdefault("base_weight_decay", group["weight_decay"])
            group["weight_decay"] = group["base_weight_decay"] * stage.weight_decay_scale
        if stage.contrast is not None:
            stage.key_encoder.begin(stage.encoder(self.network))
        if stage.refresh:
            self.refresh_memory(stage)

    @torch.no_grad()
    def refresh_memory(self, stage: Stage) -> None:
        """M_i ← k_i for every training image: one pass in eval mode, with training augmentation."""
        with evaluating(self):
            for batch in map(self.read, memory_batches(self)):
                h_BF = self.network.backbone(batch.key_view)
                q_BD = normalize(stage.projector_of(self.network)(h_BF), dim=-1)
                stage.memory.fill(q_BD, stage.key_encoder.first_keys(h_BF, q_BD), batch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note the stage, which a run resumed within it must not begin again, a step, each rank's own."""
        if self.config is not None:
            checkpoint.setdefault("config", self.config | self.trained_on(checkpoint))
        checkpoint["stage"] = self.stage_name
        checkpoint["global_batch"] = self.global_batch
        checkpoint["epoch_means"] = self.losses.state_dict()
        if self.trainer.world_size > 1:
            mine = {name: buffer.cpu() for name, buffer in self.running_statistics().items()}
            checkpoint["running_statistics"] = gather_objects(mine)

    def trained_on(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """Note the images of a data module that was made by name; what the configuration says of it."""
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, ImageDataModule) or data.config is None:
            return {}
        checkpoint |= checkpoint_record(data)
        name = (self.config or {})["model"]["name"]
        return {"data": data.config, "method": name, "trainer": {"max_epochs": self.trainer.max_epochs}}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Resume in the stage that was left; on as many ranks, each with its own running statistics."""
        self.stage_name = checkpoint.get("stage")
        self.losses.load_state_dict(checkpoint.get("epoch_means", {}))
        of_ranks = checkpoint.get("running_statistics", [])
        if len(of_ranks) == world_size():
            checkpoint["state_dict"] |= of_ranks[rank()]
        self.make_memories(checkpoint["state_dict"])

    # -------------------------------------------------------------------------- optimizer and logs

    def configure_optimizers(self) -> Any:
        """One optimizer for all stages (its momentum carries over), with the rate set at every step."""
        self.steps_per_epoch = num_steps(self.trainer)  # opens the loader
        self.images_per_batch = check_loader(self.trainer, self.network, self.num_images)
        if self.max_epochs is None:
            self.stage_schedule = lay_out(self.stages, self.trainer, self.steps_per_epoch)  # type: ignore[arg-type]
        optimizer = self.new_optimizer()
        for group in optimizer.param_groups:
            group["lr"] = scaled_lr(group["lr"], self.global_batch, self.lr_base_batch)
        if self.lr_base_batch is not None and self.trainer.is_global_zero:
            lr = optimizer.param_groups[0]["lr"]
            log.info("Learning rate %g for a global batch of %d images.", lr, self.global_batch)
        scheduler = LambdaLR(optimizer, self.lr_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def new_optimizer(self) -> Optimizer:
        """The optimizer of all trainable parameters, its lr not yet scaled."""
        return self.make_optimizer(parameter_groups(self, decay_norm_and_bias=self.decay_norm_and_bias))

    @property
    def global_batch(self) -> int | None:
        """Images in an optimizer step of all ranks together; None where the loader does not know."""
        return None if self.images_per_batch is None else self.images_per_batch * self.batches_per_step

    def lr_factor(self, step: int) -> float:
        """The learning rate of a 0-based optimizer step, as a factor of the optimizer's."""
        epoch = step / self.steps_per_epoch
        now = self.stage_schedule.at(step // self.steps_per_epoch)
        elapsed = min(epoch - now.first_epoch, now.num_epochs)
        stage: Stage = self.stages[now.name]  # type: ignore[assignment]
        return stage.lr_scale * self.lr_schedule(elapsed, now.num_epochs)

    # ------------------------------------------------------------------------------------ evaluation

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Source accuracy and cross-entropy on the validation images."""
        batch = self.read.evaluation(batch)
        logits_BC = self(batch.view)
        self.val_top1(logits_BC, batch.label)
        loss_ce, num_images = cross_entropy(logits_BC, batch.label), len(batch.label)
        self.log("val/ce", loss_ce, on_epoch=True, sync_dist=True, batch_size=num_images)
        self.log("val/top1", self.val_top1, on_epoch=True, prog_bar=True, batch_size=num_images)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Count what the classifier reaches on the test images."""
        batch = self.read.evaluation(batch)
        self.test_scores.update(self(batch.view), batch.label)

    def on_test_epoch_end(self) -> None:
        """Top-1, mean per-class accuracy, cross-entropy and calibration error."""
        self.log_dict({f"test/{name}": value for name, value in self.test_scores.compute().items()})
        self.test_scores.reset()

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Prediction:
        """Probabilities and features of labelled or unlabelled images."""
        view, *_, index_B = parts_of(batch)
        h_BF = self.network.backbone(view)
        if index_B is None:
            loaders = self.trainer.predict_dataloaders
            loader = loaders[dataloader_idx] if isinstance(loaders, list | tuple) else loaders
            index_B = torch.tensor(numbers_of(loader, batch_idx, len(view)), device=view.device)
        return Prediction(self.network.classifier(h_BF).softmax(1), h_BF, index_B)
