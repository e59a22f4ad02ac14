"""The run's own trade-off figure, drawn when training is over, in W&B and TensorBoard."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger

from ctc_lightning.analysis.figures.trade_off import trade_off_figure
from ctc_lightning.analysis.frames.comparable import comparable
from ctc_lightning.analysis.frames.runs import load_runs

log = logging.getLogger(__name__)

KEY = "figures/trade_off"


class LogFigures(pl.Callback):
    """Logs ``figures/trade_off`` of ``results.csv`` to the loggers that show images.

    Args:
        run_dir: the run's directory.
    """

    def __init__(self, *, run_dir: str) -> None:
        self.run_dir = Path(run_dir)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw and log it, on rank 0; without a measured target there is none."""
        shown = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger | TensorBoardLogger)]
        if not (trainer.is_global_zero and shown and (self.run_dir / "results.csv").exists()):
            return
        try:
            figure = trade_off_figure(comparable(load_runs(self.run_dir)))
        except ValueError as reason:
            log.info("No trade-off figure is logged: %s", reason)
            return
        pixels_HWC = _pixels(figure)
        for logger in shown:
            _show(logger, pixels_HWC, max(trainer.global_step - 1, 0))


def _show(logger: Any, pixels_HWC: np.ndarray, step: int) -> None:
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(KEY, pixels_HWC, step, dataformats="HWC")
        logger.experiment.flush()
    else:
        logger.log_image(KEY, [pixels_HWC], step)


def _pixels(figure: Figure) -> np.ndarray:
    """(H, W, 3) uint8 on white."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
