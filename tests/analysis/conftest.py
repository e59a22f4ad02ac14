"""Synthetic runs on disk: known curves, so that every expected number follows by arithmetic."""

from pathlib import Path

import pandas as pd
import pytest

COLUMNS = ["run", "method", "seed", "epoch", "step", "protocol", "target", "metric", "value"]
LATER = ["low", "high", "n", "chosen", "seconds", "settings", "note"]


def run_writer(root):
    """Write a run; ``curves`` maps (protocol, target) to its test and its validation accuracies.

    ``metrics`` names the metric of a target where that is not top1; ``rows`` are added at the end, each
    (epoch, protocol, target, metric, value, later columns by name); ``config`` are lines of config.yaml.
    """

    def write(
        curves,
        folder=None,
        method="ce",
        seed=0,
        data="glyphs",
        epochs=(0, 1, 2, 3),
        *,
        metrics=None,
        rows=(),
        n=0,
        config="",
    ) -> Path:
        path = root / (folder or f"{data}/{method}/{seed}")
        path.mkdir(parents=True)
        measured = [
            (path.name, method, seed, epoch, 10 * epoch, protocol, target, prefix + name, value)
            for (protocol, target), pair in curves.items()
            for name in [(metrics or {}).get(target, "top1")]
            for prefix, values in zip(("", "val_"), pair, strict=True)
            for epoch, value in zip(epochs, values, strict=False)
        ]
        frame = pd.DataFrame(measured, columns=COLUMNS)
        if rows or n:
            more = pd.DataFrame(
                [
                    dict(
                        zip(COLUMNS, (path.name, method, seed, epoch, 10 * epoch, *names, value), strict=True)
                    )
                    | later
                    for epoch, *names, value, later in rows
                ]
            )
            frame = pd.concat([frame.assign(n=n), more])
            frame = frame.reindex(columns=[*COLUMNS, *LATER]).assign(n=frame["n"].fillna(n).astype(int))
        frame.to_csv(path / "results.csv", index=False)
        (path / "config.yaml").write_text(f"data:\n  name: {data}\nmethod: {method}\nseed: {seed}\n{config}")
        return path

    return write


@pytest.fixture
def write_run(tmp_path):
    return run_writer(tmp_path)


def study_writer(write_run, root):
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
        return root / data

    return write


@pytest.fixture
def write_study(write_run, tmp_path):
    return study_writer(write_run, tmp_path)


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """The folder of a study for tests that only read it."""
    root = tmp_path_factory.mktemp("study")
    return study_writer(run_writer(root), root)()


def information_writer(write_run):
    """Write a run with estimates of information, and its accuracy on the source.

    ``estimates`` maps (protocol, target) to the held-out values of its epochs; ``beside`` maps the same to
    ``upper``, ``train`` and ``note`` of these epochs, as far as there are any.
    """

    def write(estimates, method="ce", seed=0, *, beside=None, epochs=(0, 1, 2, 3), **more) -> Path:
        accuracy = [0.25 + 0.7 * i / len(epochs) for i in range(len(epochs))]
        rows = []
        for of, values in estimates.items():
            extra = {"upper": (), "train": (), "note": [""] * len(values)} | (beside or {}).get(of, {})
            for epoch, value, note in zip(epochs, values, extra["note"], strict=False):
                interval = {"low": value - 0.1, "high": value + 0.1, "note": note, "n": 300}
                rows.append((epoch, *of, "information", value, interval))
            for name in ("upper", "train"):
                rows += [
                    (epoch, *of, f"information_{name}", value, {"n": 300})
                    for epoch, value in zip(epochs, extra[name], strict=False)
                ]
        curves = {("classifier", "source"): (accuracy, accuracy)}
        return write_run(curves, method=method, seed=seed, epochs=epochs, rows=rows, **more)

    return write


@pytest.fixture
def write_information(write_run):
    return information_writer(write_run)


@pytest.fixture(scope="session")
def write_information_in(tmp_path_factory):
    """A function of a name: `write_information` in a folder that stays for all tests, and that folder."""

    def make(name):
        root = tmp_path_factory.mktemp(name)
        return information_writer(run_writer(root)), root

    return make
