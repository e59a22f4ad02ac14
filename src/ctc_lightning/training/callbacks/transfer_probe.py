"""The temporal analysis: what the frozen features are worth elsewhere, during training."""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.seed import isolate_rng

from ctc_lightning.checks import count
from ctc_lightning.evaluation.data_options import DataOptions
from ctc_lightning.evaluation.feature_cache import FeatureCache
from ctc_lightning.evaluation.measurement import (
    CLASSIFIER,
    FAILURES,
    SOURCE,
    FrozenNetwork,
    ImageDigests,
    Moment,
    applicable,
    headlines,
    measure,
    settings_of,
    source_rows,
    task_of,
)
from ctc_lightning.evaluation.protocol import SPLITS, Protocol
from ctc_lightning.evaluation.results import FAILED, ResultsTable, Row
from ctc_lightning.evaluation.targets import Target, expand, open_target
from ctc_lightning.networks.eval_mode import evaluating
from ctc_lightning.training.callbacks.own_data import check_own_data
from ctc_lightning.training.callbacks.preemption import interruptible
from ctc_lightning.training.callbacks.weight_average import averaged

log = logging.getLogger(__name__)


class TransferProbe(pl.Callback):
    """Measures frozen features on every target at epoch 0, every n epochs, at chosen epochs and at the end.

    The same code as ``python -m ctc_lightning.transfer``, which does not measure again what is found here.
    Rows go to ``results.csv``; each target's own metric goes to the loggers as
    ``transfer/<target>/<protocol>``, on validation as ``transfer/<target>/<protocol>/val_<metric>``, with
    the finished epochs as ``transfer/epoch`` and the time it took as ``transfer/seconds``. Weights, module
    modes and random numbers of the training are exactly as without it. A target that fails stands in the
    table with the reason, and training goes on.

    An epoch's checkpoints are written first. A run that is stopped in the middle of a probe loses the probe
    alone, and makes up for it when it is resumed, even if nothing is left to train.

    Args:
        protocols: by name, each a ``Protocol`` that needs features only.
        every_n_epochs: n >= 1.
        also_at: further epochs, where curves bend early.
        targets: one or several, see `ctc_lightning.evaluation.targets.expand`; None: all labels of the
            run's own data.
        data: options of targets of other data sets, as ``data`` of ``conf/transfer.yaml``.
        data_defaults: of options that are not given there.
        run_dir: where ``results.csv`` goes.
        method: for its column.
        seed: for its column.

    Raises:
        ValueError: n < 1, a protocol that needs images; at the start of training, a target that is not there.

    An epoch counts finished epochs: 0 is before training.
    """

    def __init__(
        self,
        protocols: Mapping[str, Protocol],
        every_n_epochs: int,
        run_dir: str,
        method: str,
        seed: int,
        also_at: Sequence[int] = (),
        targets: str | Sequence[str] | None = None,
        data: Mapping[str, Any] | None = None,
        data_defaults: Mapping[str, Any] | None = None,
    ) -> None:
        count("transfer probe", every_n_epochs=every_n_epochs)
        if greedy := [name for name, protocol in protocols.items() if protocol.uses_images]:
            raise ValueError(
                f"transfer probe: {greedy[0]} trains on images, which cannot be done within a training; use "
                f"python -m ctc_lightning.transfer run=RUN_DIR protocol={greedy[0]} afterwards."
            )
        self.protocols = dict(protocols)
        self.every_n_epochs = every_n_epochs
        self.also_at = frozenset(also_at)
        self.names = targets
        self.options = DataOptions(data or {}, data_defaults or {}, prefix="callbacks.transfer_probe.data.")
        self.run, self.method, self.seed = Path(run_dir).name, method, seed
        self.results = ResultsTable(Path(run_dir) / "results.csv")
        self.seconds = 0.0
        self._targets: list[Target] = []
        self._image_digests = ImageDigests()

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Open the targets: fail before training if one is not there."""
        check_own_data(trainer, self)
        own: Any = trainer.datamodule  # type: ignore[attr-defined]
        names = list(own.targets)
        if self.names is not None:
            same = not self.options.ask_for_other_images({"name": own.name})
            names = expand(self.names, own, by_data_set=same)
        self.options.check_used(names, [SOURCE, *own.targets], {})
        self._targets = [open_target(name, own, own.network_input, self.options) for name in names]
        for target in self._targets:
            target.data.trainer = trainer  # each rank its share

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """A resumed run goes on below its checkpoint's rows."""
        if trainer.is_global_zero:
            reached = trainer.current_epoch if trainer.global_step else -1
            self.results.keep(lambda row: row.epoch <= reached)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Probe the network that the epoch before has left, and at first the untrained one."""
        self.probe_if_due(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Probe the network that the last epoch has left."""
        self.probe_if_due(trainer, pl_module)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Probe if the run was stopped in its last probe, and say what all cost."""
        if trainer.current_epoch == trainer.max_epochs:
            pl_module.to(trainer.strategy.root_device)  # Lightning has taken it back to the CPU
            self.probe_if_due(trainer, pl_module)
        if trainer.is_global_zero and self.seconds:
            self.results.compact()
            log.info("The transfer probe took %.0f s of this training.", self.seconds)

    def probe_if_due(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Measure what this epoch asks for, unless the table has it already."""
        finished = trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
        last = finished == trainer.max_epochs
        if not (finished % self.every_n_epochs == 0 or finished in self.also_at or last):
            return
        if not trainer.strategy.broadcast(
            trainer.is_global_zero and self.is_measured(finished, trainer.global_step)
        ):
            with interruptible(trainer):
                self.probe(trainer, pl_module, finished)

    def is_measured(self, finished: int, step: int) -> bool:
        """Whether the table holds every row of a moment."""
        there = {
            (row.protocol, row.target)
            for row in self.results.rows()
            if (row.epoch, row.step) == (finished, step)
        }
        targets = {
            (name, target.name) for target in self._targets for name in applicable(self.protocols, target)
        }
        return {(CLASSIFIER, SOURCE), *targets} <= there

    def probe(self, trainer: pl.Trainer, pl_module: Any, finished: int) -> None:
        """Measure all targets under all protocols, on rank 0, from features that all ranks computed."""
        began = time.perf_counter()
        network = pl_module.network
        frozen = FrozenNetwork(
            network.backbone, network.classifier, pl_module.device, FeatureCache(None), self._image_digests
        )
        data = trainer.datamodule  # type: ignore[attr-defined]
        with isolate_rng(), evaluating(network), averaged(trainer, network):
            needed = [(data, SOURCE, split) for split in ("val", "test")]
            needed += [(target.data, target.images, split) for target in self._targets for split in SPLITS]
            for images in needed:
                with suppress(*FAILURES):  # it stands in the rows
                    frozen.features(*images)  # on every rank
            if trainer.is_global_zero:
                moment = Moment(self.run, self.method, self.seed, finished, trainer.global_step)
                rows = self.rows(frozen, data, moment)
                self.results.put(rows)
                seconds = time.perf_counter() - began
                self.seconds += seconds
                log.info("%s", self.line(finished, trainer.max_epochs, rows, seconds))
                logged = self.logged(rows) | {"transfer/epoch": finished, "transfer/seconds": seconds}
                last_step = max(trainer.global_step - 1, 0)  # as in Lightning's own rows of this epoch
                for logger in trainer.loggers:
                    logger.log_metrics(logged, step=last_step)
        trainer.strategy.barrier("transfer probe")

    def rows(self, frozen: FrozenNetwork, data: Any, moment: Moment) -> list[Row]:
        """Source and targets of one moment."""
        try:
            rows = source_rows(frozen, data, moment)
        except FAILURES as error:
            rows = [moment.failure(CLASSIFIER, SOURCE, str(error))]
        for target in self._targets:
            protocols = applicable(self.protocols, target)
            settings = {name: settings_of(p, target, frozen) for name, p in protocols.items()}
            images = frozen.image_digests.of_target(target)
            try:
                task = task_of(target, frozen)
            except FAILURES as error:
                rows += [
                    moment.failure(name, target.name, str(error), settings=settings[name], images=images)
                    for name in protocols
                ]
            else:
                rows += [row for found in measure(protocols, task, moment, settings, images) for row in found]
        for row in rows:
            if row.metric == FAILED:
                log.warning("epoch %d, %s on %s: %s", row.epoch, row.protocol, row.target, row.note)
        return rows

    def logged(self, rows: Sequence[Row]) -> dict[str, float]:
        """Each target's own metric, on test and on validation."""
        test = {f"transfer/{row.target}/{row.protocol}": row.value for row in headlines(rows)}
        val = [row for row in rows if row.metric.startswith("val_")]
        return test | {f"transfer/{row.target}/{row.protocol}/{row.metric}": row.value for row in val}

    def line(self, finished: int, max_epochs: int | None, rows: Sequence[Row], seconds: float) -> str:
        """One line for people: test accuracies in percent under the first protocol."""
        shown = (CLASSIFIER, next(iter(self.protocols), None))
        scores = {row.target: 100 * row.value for row in headlines(rows) if row.protocol in shown}
        numbers = ", ".join(f"{target} {score:.1f}" for target, score in scores.items())
        where = f"{self.method}, seed {self.seed}, epoch {finished}/{max_epochs}"
        return f"{where}: {numbers} (probed in {seconds:.1f} s)"
