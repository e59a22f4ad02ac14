"""The files that predictions go to, written as they come: CSV, npy, parquet."""

# B images, F features, L classes, K best classes

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ctc_lightning.prediction.outputs import Outputs

Write = Callable[[Outputs], Any]


def columns(top: int) -> list[str]:
    """Of the table: path, the best class and its probability, the next ones, error."""
    places = ["", *(f"_{place}" for place in range(2, top + 1))][:top]
    return ["path", *(f"{name}{place}" for place in places for name in ("class", "probability")), "error"]


def rows(outputs: Outputs, classes: Sequence[str], top: int) -> Iterator[list[Any]]:
    """Of the table: classes by name, or by number where they have none."""
    best_BK = np.argsort(-outputs.probability, axis=1, kind="stable")[:, :top]
    for path, error, best_K, p_L in zip(
        outputs.path, outputs.error, best_BK, outputs.probability, strict=True
    ):
        pairs = [(classes[label] if classes else int(label), p_L[label]) for label in best_K]
        yield [path, *((None,) * (2 * top) if error else (value for pair in pairs for value in pair)), error]


@contextmanager
def csv_file(path: Path, classes: Sequence[str], top: int) -> Iterator[Write]:
    """A table of `columns`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns(top))
        yield lambda outputs: writer.writerows(rows(outputs, classes, top))


@contextmanager
def npy_file(path: Path, num_images: int, num_features: int) -> Iterator[Write]:
    """(N, F) float32 features; NaN where a file cannot be read."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (num_images, num_features)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        yield lambda outputs: file.write(outputs.feature.astype("<f4").tobytes())


@contextmanager
def parquet_file(path: Path, num_features: int) -> Iterator[Write]:
    """Columns ``path`` and ``embedding``, F float32, which is null where a file cannot be read.

    Raises:
        ValueError: pyarrow is not installed.
    """
    try:
        pa, parquet = (import_module(name) for name in ("pyarrow", "pyarrow.parquet"))
    except ImportError as error:
        raise ValueError(
            "embeddings=*.parquet needs pyarrow: pip install 'ctc-lightning[parquet]', or choose .npy."
        ) from error
    vector = pa.list_(pa.float32(), num_features)
    schema = pa.schema([("path", pa.string()), ("embedding", vector)])

    def write(outputs: Outputs) -> None:
        missing_B = np.array([bool(error) for error in outputs.error])
        flat = pa.array(outputs.feature.ravel())
        vectors = pa.FixedSizeListArray.from_arrays(flat, type=vector, mask=pa.array(missing_B))
        writer.write_table(pa.table([outputs.path, vectors], schema=schema))

    with parquet.ParquetWriter(path, schema) as writer:
        yield write
