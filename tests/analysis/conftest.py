"""Synthetic runs on disk: known curves, so that every expected number follows by arithmetic."""

from pathlib import Path

import pandas as pd
import pytest

COLUMNS = ["run", "method", "seed", "epoch", "step", "protocol", "target", "metric", "value"]


@pytest.fixture
def write_run(tmp_path):
    """Write a run; ``curves`` maps (protocol, target) to its test and its validation accuracies."""

    def write(curves, folder=None, method="ce", seed=0, data="glyphs", epochs=(0, 1, 2, 3)) -> Path:
        path = tmp_path / (folder or f"{data}/{method}/{seed}")
        path.mkdir(parents=True)
        rows = [
            (path.name, method, seed, epoch, 10 * epoch, protocol, target, metric, value)
            for (protocol, target), pair in curves.items()
            for metric, values in zip(("top1", "val_top1"), pair, strict=True)
            for epoch, value in zip(epochs, values, strict=False)
        ]
        pd.DataFrame(rows, columns=COLUMNS).to_csv(path / "results.csv", index=False)
        (path / "config.yaml").write_text(f"data:\n  name: {data}\nmethod: {method}\nseed: {seed}\n")
        return path

    return write


@pytest.fixture
def write_study(write_run, tmp_path):
    """CE that peaks at epoch 1 and loses hue, CTC that keeps it: three seeds 0, +1 and −1 point apart."""
    finals = {"ce": (0.99, 0.30, 0.80), "ctc_queue": (0.98, 0.90, 0.80)}

    def write(seeds=(0, 1, 2), methods=("ce", "ctc_queue"), data="glyphs") -> Path:
        for method in methods:
            source, hue, fine = finals[method]
            for seed in seeds:
                shift = (0, 0.01, -0.01)[seed]
                ends = {
                    ("classifier", "source"): [0.25, 0.60, 0.90, source],
                    ("whitened", "hue"): [0.70 + shift, 0.92 + shift, 0.60 + shift, hue + shift],
                    ("whitened", "fine"): [0.50 + shift, 0.80 + shift, 0.80 + shift, fine + shift],
                }
                write_run({key: (curve, curve) for key, curve in ends.items()}, None, method, seed, data)
        return tmp_path / data

    return write
