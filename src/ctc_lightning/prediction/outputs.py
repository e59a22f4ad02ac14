"""Predictions of many files, a batch at a time: what is kept in memory does not grow with their number."""

# B images, C channels, S rows and columns, F features, L classes

import logging
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from joblib import cpu_count
from numpy.typing import NDArray

from ctc_lightning.data.cached import decode_fitted
from ctc_lightning.data.check import FILES_A_TASK, over_files
from ctc_lightning.data.decode import MAX_PIXELS, UnreadableImage, printable
from ctc_lightning.data.image_set import ImageFiles
from ctc_lightning.data.standardise import Standardise
from ctc_lightning.prediction.predictor import Predictor

log = logging.getLogger(__name__)


class Outputs(NamedTuple):
    """B files in order.

    Attributes:
        path: of each, relative to the folder.
        error: why a file cannot be read; empty of those that can.
        feature: (B, F) float32; NaN where a file cannot be read.
        probability: (B, L) float32, likewise; L = 0 without a classifier.
    """

    path: list[str]
    error: list[str]
    feature: NDArray[np.float32]
    probability: NDArray[np.float32]


def outputs_of(
    predictor: Predictor,
    files: ImageFiles,
    device: torch.device,
    *,
    batch_size: int,
    num_workers: int | None = None,
) -> Iterator[Outputs]:
    """Features and probabilities of every file, in order, with a progress bar.

    Args:
        predictor: the network.
        files: any number.
        device: that the network runs on.
        batch_size: files that are predicted together.
        num_workers: processes that decode; None: the cores, or fewer for few files.

    Raises:
        ValueError: a batch does not fit into the GPU's memory.
    """
    predictor = predictor.to(device)
    standardise = Standardise(predictor.input.mean, predictor.input.std, predictor.input.shape)
    if num_workers is None:
        num_workers = min(cpu_count(), len(files) // (4 * FILES_A_TASK))
    channels = predictor.input.shape[0]
    work = partial(decode_fitted, fit=predictor.fit, channels=channels, max_pixels=MAX_PIXELS)
    images = over_files(files, work, num_workers, "images")
    for start in range(0, len(files), batch_size):
        found = list(islice(images, batch_size))
        readable = {row: one for row, one in enumerate(found) if not isinstance(one, UnreadableImage)}
        feature_BF = np.full((len(found), predictor.num_features), np.nan, np.float32)
        probability_BL = np.full((len(found), predictor.num_classes), np.nan, np.float32)
        if readable:
            image_BSSC = torch.from_numpy(np.stack(list(readable.values())))
            try:
                h_BF, p_BL = predictor(image_BSSC.permute(0, 3, 1, 2).to(device), standardise)
            except torch.OutOfMemoryError as error:
                raise ValueError(
                    f"batch_size={batch_size} does not fit into the memory of {device}; lower it."
                ) from error
            feature_BF[list(readable)], probability_BL[list(readable)] = h_BF.numpy(), p_BL.numpy()
        yield Outputs(
            [printable(_name(files, start + row)) for row in range(len(found))],
            [" ".join(str(one).split()) if isinstance(one, UnreadableImage) else "" for one in found],
            feature_BF,
            probability_BL,
        )


def _name(files: ImageFiles, row: int) -> Path:
    return files.path(row).relative_to(files.root)
