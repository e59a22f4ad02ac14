"""Classify and embed the images of a folder, in a file or as a DataFrame."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from ctc_lightning.checks import count
from ctc_lightning.data.folders import list_images
from ctc_lightning.data.image_set import ImageFiles
from ctc_lightning.evaluation.evaluate import find_device
from ctc_lightning.files.atomic_write import atomic_file
from ctc_lightning.prediction.files import Write, columns, csv_file, npy_file, parquet_file, rows
from ctc_lightning.prediction.outputs import Outputs, outputs_of
from ctc_lightning.prediction.predictor import Predictor, open_predictor

log = logging.getLogger("ctc_lightning")

_TOP = 5


def predict(
    checkpoint: str | Path,
    images: str | Path,
    *,
    output: str | Path | None = None,
    embeddings: str | Path | None = None,
    top: int | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Classify all images below a folder; the same as ``python -m ctc_lightning.predict``.

    Args:
        checkpoint: a run directory, a ``.ckpt`` file, or a folder that ``ctc_lightning.export`` wrote.
        images: a folder; its subfolders are searched too.
        output: a ``.csv`` file to write as well.
        embeddings: a ``.npy`` or ``.parquet`` file for the features, in the order of the rows.
        top: how many of the best classes to list, at most the number of classes; None: 5, or all of fewer.
        options: ``which``, ``batch_size``, ``num_workers``, ``device`` and ``trust``, see
            ``conf/predict.yaml``.

    Returns:
        A row for each image, by sorted relative path: ``path``, ``class``, ``probability``, ``class_2``,
        ``probability_2``, …, ``error``, which says why a file could not be read. Without a classifier:
        ``path`` and ``error``.

    Raises:
        ValueError: an option that cannot work, no images, a checkpoint that cannot be read.
    """
    table: list[list[Any]] = []
    predictor, top, written = _predictions(checkpoint, images, output, embeddings, top, **options)
    for outputs in written:
        table.extend(rows(outputs, predictor.classes, top))
    return pd.DataFrame(table, columns=columns(top))


def write_predictions(
    checkpoint: str | Path, images: str | Path, output: str | None, embeddings: str | None, **options: Any
) -> None:
    """Write predictions, features or both, and log how many.

    Raises:
        ValueError: as `predict`; neither ``output`` nor ``embeddings``.
    """
    if output is None and embeddings is None:
        raise ValueError("there is nothing to write; set output=FILE.csv, embeddings=FILE.npy, or both.")
    num_images = num_unreadable = 0
    problem = ""
    for outputs in _predictions(checkpoint, images, output, embeddings, **options)[2]:
        num_images += len(outputs.path)
        num_unreadable += sum(map(bool, outputs.error))
        problem = problem or next(filter(None, outputs.error), "")
    log.info("%d images of %s: %s", num_images, images, ", ".join(filter(None, (output, embeddings))))
    if problem:
        log.warning("%d of them cannot be read: %s", num_unreadable, problem)


def _predictions(
    checkpoint: str | Path,
    images: str | Path,
    output: str | Path | None,
    embeddings: str | Path | None,
    top: int | None = None,
    *,
    which: str | int | None = None,
    batch_size: int = 64,
    num_workers: int | None = None,
    device: str = "auto",
    trust: bool = False,
) -> tuple[Predictor, int, Iterator[Outputs]]:
    """The network, how many classes are listed, and its outputs, each of which is written first."""
    count("predict", example=64, batch_size=batch_size)
    if num_workers is not None:
        count("predict", least=0, example=4, num_workers=num_workers)
    _check_ending("output", output, {".csv"})
    _check_ending("embeddings", embeddings, {".npy", ".parquet"})
    on = find_device(device)
    root = Path(images).expanduser()
    files = ImageFiles.of(root, list_images(root), {}, {})
    predictor = open_predictor(Path(checkpoint).expanduser(), which, trust=trust)
    top = _num_listed(predictor, top, checkpoint, is_wanted=output is not None or embeddings is None)
    found = outputs_of(predictor, files, on, batch_size=batch_size, num_workers=num_workers)
    writers = {}
    if output is not None:
        writers[Path(output)] = partial(csv_file, classes=predictor.classes, top=top)
    if embeddings is not None and Path(embeddings).suffix == ".npy":
        writers[Path(embeddings)] = partial(
            npy_file, num_images=len(files), num_features=predictor.num_features
        )
    elif embeddings is not None:
        writers[Path(embeddings)] = partial(parquet_file, num_features=predictor.num_features)
    return predictor, top, _written(found, writers)


def _written(found: Iterator[Outputs], writers: dict[Path, Any]) -> Iterator[Outputs]:
    """Yield outputs that have been written; the files get their names when all are."""
    with ExitStack() as stack:
        besides = [(stack.enter_context(atomic_file(path)), make) for path, make in writers.items()]
        with ExitStack() as opened:
            writes: list[Write] = [opened.enter_context(make(beside)) for beside, make in besides]
            for outputs in found:
                for write in writes:
                    write(outputs)
                yield outputs


def _check_ending(option: str, path: str | Path | None, endings: set[str]) -> None:
    if path is not None and Path(path).suffix not in endings:
        raise ValueError(f"{option} is {path}; its name must end in {' or '.join(sorted(endings))}.")


def _num_listed(predictor: Predictor, top: int | None, checkpoint: object, *, is_wanted: bool) -> int:
    """K, the number of classes in a row."""
    if not predictor.num_classes:
        if is_wanted or top is not None:
            raise ValueError(
                f"{checkpoint} holds no classifier, so there are no classes to predict; leave out output and "
                "top and set embeddings=FILE.npy, or export it with classifier=true."
            )
        return 0
    if top is None:
        return min(_TOP, predictor.num_classes)
    count("predict", example=min(_TOP, predictor.num_classes), top=top)
    if top > predictor.num_classes:
        raise ValueError(f"top is {top}; it must be at most the {predictor.num_classes} classes: lower it.")
    return top
