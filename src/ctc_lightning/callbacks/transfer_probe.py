"""The temporal analysis: what the frozen features are worth elsewhere, while training goes on."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor, nn

from ctc_lightning.callbacks.results import ResultsTable
from ctc_lightning.evaluation.features import extract_features
from ctc_lightning.evaluation.protocol import Features, Probe
from ctc_lightning.networks.evaluating import evaluating

log = logging.getLogger(__name__)

Extracted = Mapping[str, tuple[Tensor, Tensor]]
"""Split -> (N, F) features and (N,) rows, as `extract_features` returns them."""


class TransferProbe(pl.Callback):
    """Probes frozen features on every target at epoch 0, every n epochs, at chosen epochs and at the end.

    Rows go to ``results.csv`` and to the loggers as ``transfer/<target>/<protocol>``. Weights, module
    modes and random numbers of the training are exactly as without it.

    Args:
        protocols: by name, each a ``Probe``.
        every_n_epochs: n >= 1.
        also_at: further epochs, where curves bend early.
        targets: which of the data module's targets, one or several; None: all.
        run_dir: where ``results.csv`` goes.
        method: for its column.
        seed: for its column.

    Raises:
        ValueError: n < 1; at the start of training, a target that the data do not have.

    An epoch counts finished epochs: 0 is before training.
    """

    def __init__(
        self,
        protocols: Mapping[str, Probe],
        every_n_epochs: int,
        run_dir: str,
        method: str,
        seed: int,
        also_at: Sequence[int] = (),
        targets: str | Sequence[str] | None = None,
    ) -> None:
        if every_n_epochs < 1:
            raise ValueError(f"transfer probe: every_n_epochs is {every_n_epochs}; it must be at least 1.")
        self.protocols = dict(protocols)
        self.every_n_epochs = every_n_epochs
        self.also_at = frozenset(also_at)
        self.targets = [targets] if isinstance(targets, str) else targets
        self.results = ResultsTable(Path(run_dir) / "results.csv", Path(run_dir).name, method, seed)

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Fail before training if a target does not exist."""
        available = trainer.datamodule.targets  # type: ignore[attr-defined]
        unknown = [target for target in self.targets or () if target not in available]
        if unknown:
            raise ValueError(
                f"transfer probe: target {unknown[0]!r} is unknown; this data set has {', '.join(available)}."
            )

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Probe the network before its first step; a resumed run goes on below its checkpoint's rows."""
        if trainer.is_global_zero:
            self.results.keep_epochs_up_to(trainer.current_epoch if trainer.global_step else -1)
        if trainer.global_step == 0:
            self.probe(trainer, pl_module, finished=0)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Probe when due."""
        finished = trainer.current_epoch + 1
        if finished % self.every_n_epochs == 0 or finished in self.also_at or finished == trainer.max_epochs:
            self.probe(trainer, pl_module, finished)

    def probe(self, trainer: pl.Trainer, pl_module: Any, finished: int) -> None:
        """Score all targets under all protocols, on rank 0, from features that all ranks computed."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        network = pl_module.network
        with isolate_rng(), evaluating(network):
            features = self.extract(data, network.backbone, pl_module.device)
            if trainer.is_global_zero:
                rows = list(self.source_rows(network, data, features["source"]))
                rows += self.target_rows(data, features)
                log.info(self.line(finished, trainer.max_epochs, rows))
                self.results.append(finished, trainer.global_step, rows)
                logged = {
                    f"transfer/{target}/{protocol}": value
                    for protocol, target, metric, value in rows
                    if metric == "top1"
                }
                last_step = max(trainer.global_step - 1, 0)  # as in Lightning's own rows of this epoch
                for logger in trainer.loggers:
                    logger.log_metrics(logged, step=last_step)
        trainer.strategy.barrier("transfer probe")

    def extract(self, data: Any, backbone: nn.Module, device: torch.device) -> Mapping[str, Extracted]:
        """Features of all images that `source_rows` and `target_rows` need, of each image set."""
        needed = {"source": ["val", "test"]}
        needed |= {data.targets[target]: ["train", "val", "test"] for target in self.chosen(data)}
        features: dict[str, dict[str, tuple[Tensor, Tensor]]] = {}
        for name, splits in needed.items():
            done: dict[int, tuple[Tensor, Tensor]] = {}  # where validation and test are the same images, once
            for split in splits:
                images = id(data.image_sets[name][split])
                if images not in done:
                    batches = data.evaluation_batches(name, split, device)
                    done[images] = extract_features(backbone, batches, device)
                features.setdefault(name, {})[split] = done[images]
        return features

    def chosen(self, data: Any) -> Sequence[str]:
        """The targets to probe."""
        return list(data.targets) if self.targets is None else self.targets

    def line(self, finished: int, max_epochs: int | None, rows: Sequence[tuple[str, str, str, float]]) -> str:
        """One line for people: test accuracies in percent under the first protocol."""
        shown = ("classifier", next(iter(self.protocols), None))
        scores = [
            f"{target} {100 * value:.1f}"
            for protocol, target, metric, value in rows
            if metric == "top1" and protocol in shown
        ]
        return f"{self.results.label}, epoch {finished}/{max_epochs}: {', '.join(scores)}"

    @staticmethod
    def source_rows(network: Any, data: Any, features: Extracted) -> Iterator[tuple[str, str, str, float]]:
        """The network's own classifier on its source task."""
        with torch.no_grad():
            for metric, split in (("top1", "test"), ("val_top1", "val")):
                h_NF, index_N = features[split]
                label_N = data.image_sets["source"][split].labels[data.source_label][index_N.cpu()]
                predicted_N = network.classifier(h_NF).argmax(1).cpu()
                yield "classifier", "source", metric, (predicted_N == label_N).double().mean().item()

    def target_rows(
        self, data: Any, features: Mapping[str, Extracted]
    ) -> Iterator[tuple[str, str, str, float]]:
        """Every target under every protocol."""
        for target in self.chosen(data):
            name = data.targets[target]
            splits = {
                split: Features(
                    h_NF.double().cpu().numpy(),
                    data.image_sets[name][split].labels[target][index_N.cpu()].numpy(),
                )
                for split, (h_NF, index_N) in features[name].items()
            }
            for protocol, probe in self.protocols.items():
                score = probe.score(splits["train"], splits["val"], splits["test"])
                yield protocol, target, "top1", score.top1
                yield protocol, target, "val_top1", score.val_top1
