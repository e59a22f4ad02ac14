"""``logger=tensorboard``: event files in the run's directory that survive a resume."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from ctc_lightning.cli.configuration import TENSORBOARD

COMPARED = ("val/top1",)  # beside the hyper-parameters in TensorBoard's table of runs


class TensorBoardRun(TensorBoardLogger):
    """Lightning's TensorBoardLogger, writing into ``run_dir/tensorboard`` and at once.

    A process that goes on with a run, or begins it again, says so in its events: TensorBoard (and
    `ctc_lightning.analysis`) then drops what earlier processes logged of the steps that are logged again.

    Args:
        run_dir: the run's directory.

    Raises:
        ValueError: TensorBoard is not installed.
    """

    def __init__(self, *, run_dir: str) -> None:
        try:
            import_module("tensorboard")
        except ImportError as problem:
            raise ValueError(
                "logger=tensorboard needs TensorBoard, which is not installed: "
                "pip install 'ctc-lightning[tensorboard]'."
            ) from problem
        super().__init__(save_dir=run_dir, name="", version=TENSORBOARD, default_hp_metric=False)
        self.begun = False

    @rank_zero_only
    def log_hyperparams(self, params: Any, metrics: Any = None, step: int | None = None) -> None:
        """The configuration: ``hparams.yaml`` and TensorBoard's table of runs."""
        Path(self.log_dir, self.NAME_HPARAMS_FILE).unlink(missing_ok=True)  # Lightning keeps an older one
        self.hparams = dict(params)
        summary = import_module("torch.utils.tensorboard.summary")
        writer = self.experiment.file_writer  # add_hparams would begin a second run
        for part in summary.hparams(dict(_flat(params)), dict.fromkeys(COMPARED, 0.0)):
            writer.add_summary(part)
        self.save()

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """At once: a killed run has lost nothing."""
        if not self.begun and step is not None:
            self.begun = True
            self._begin(step)
        super().log_metrics(metrics, step)
        self.experiment.flush()

    def _begin(self, step: int) -> None:
        event = import_module("tensorboard.compat.proto.event_pb2")
        start = event.SessionLog(status=event.SessionLog.START)
        self.experiment.file_writer.add_event(event.Event(session_log=start), step)


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names, and values of the types that TensorBoard's table has."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, bool | int | float | str) else str(value)
