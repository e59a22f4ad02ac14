"""Compare every estimator of mutual information with the truth, where it is known (`make calibrate`).

    python benchmarks/calibration/calibrate.py                    about ten minutes of one CPU core
    python benchmarks/calibration/calibrate.py --small --estimators gaussian ksg --output FOLDER     seconds

Writes ``cells.csv`` (every estimate; a later run computes only what is missing or has other settings),
``calibration.csv`` (bias and spread over seeds), ``calibration.md``, ``calibration.png`` and ``.svg``.
"""

import argparse
from collections.abc import Iterator, Sequence
from math import isfinite, nan
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
import torch
from calibration_report import write_report
from distributions import DISTRIBUTIONS, Distribution
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from tqdm import tqdm

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.files.atomic_write import write_text
from ctc_lightning.files.digests import digest_of
from ctc_lightning.information.estimators import Estimate, Estimator, Pairs

ESTIMATORS = ["gaussian", "ksg", "mine", "nwj", "smile", "info_nce", "noisy_channel", "classifier"]
KEY = ["distribution", "dims", "information", "estimator", "seed"]
COLUMNS = [
    *KEY,
    "value",
    "train",
    "upper",
    "ceiling",
    "standard_error",
    "is_lower_bound",
    "seconds",
    "settings",
    "note",
]


def main() -> None:
    """Read the command line, estimate, write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    available = sorted(path.stem for path in (config_dir() / "estimator").glob("*.yaml"))
    parser.add_argument("--estimators", nargs="+", default=ESTIMATORS, choices=available, metavar="NAME")
    parser.add_argument("--distributions", nargs="+", default=[*DISTRIBUTIONS], choices=[*DISTRIBUTIONS])
    parser.add_argument("--small", action="store_true", help="fewer points, pairs and seeds")
    parser.add_argument("--seeds", type=int, help="draws and fits of each point; default 3, small 2")
    parser.add_argument("--output", type=Path, default=Path("docs/calibration"))
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
    options = parser.parse_args()
    if options.seeds is not None and options.seeds < 1:
        parser.error(f"--seeds {options.seeds}: give at least 1")
    torch.set_num_threads(options.threads)
    num_train, num_held_out, seeds = (400, 200, 2) if options.small else (2000, 1000, 3)
    points = [*grid(options.distributions, small=options.small)]
    cells = calibrate(
        load_estimators(options.estimators),
        points,
        seeds=options.seeds or seeds,
        num_train=num_train,
        num_held_out=num_held_out,
        output=options.output,
    )
    write_report(cells, options.output, num_train, num_held_out)


def load_estimators(names: Sequence[str], overrides: Sequence[str] = ()) -> dict[str, Estimator]:
    """By name, as ``conf/estimator`` configures them; override for example ``xt.ksg.max_dims=16``."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("information", [f"estimator@xt=[{','.join(names)}]", *overrides])
    return {name: instantiate(cfg.xt[name]) for name in names}


def grid(names: list[str], *, small: bool = False) -> Iterator[tuple[str, Distribution]]:
    """Each distribution at each number of dimensions and each information, in nats."""
    informations = (0.5, 2) if small else (0.5, 2, 5, 10)
    plain, mixed = ((2, 16), (2,)) if small else ((2, 16, 128), (2, 16))
    for name in names:
        dims = {"gaussians": plain, "noisy_features": plain, "label_mixture": (9, 128)}.get(name, mixed)
        for num_dims in dims:
            for information in (0.5, 1, 2) if name == "label_mixture" else informations:
                yield name, DISTRIBUTIONS[name](num_dims, information)


def calibrate(
    estimators: dict[str, Estimator],
    points: list[tuple[str, Distribution]],
    *,
    seeds: int,
    num_train: int,
    num_held_out: int,
    output: Path,
) -> pd.DataFrame:
    """Fit every estimator on ``num_train`` pairs of every point and evaluate it on others.

    Returns:
        One row per estimate, see `estimate`; those of other settings remain in ``cells.csv`` only.
    """
    file = output / "cells.csv"
    done = read(file)
    wanted = []
    for name, distribution in tqdm(points, desc="calibrate", unit=" points"):
        for seed in range(seeds):
            pairs: list[Pairs] = []
            for estimator_name, estimator in estimators.items():
                key = (name, distribution.num_dims, distribution.information, estimator_name, seed)
                drawn_from = [type(distribution).__qualname__, distribution.settings]
                settings = digest_of([drawn_from, estimator.description, num_train, num_held_out])
                wanted.append(key)
                if key in done and done[key]["settings"] == settings:
                    continue
                pairs = pairs or [
                    distribution.draw(num, seed=2 * seed + i)
                    for i, num in enumerate((num_train, num_held_out))
                ]
                numbers = estimate(estimator, *pairs, seed=seed)
                numbers |= {"standard_error": distribution.standard_error, "settings": settings}
                done[key] = dict(zip(KEY, key, strict=True)) | numbers
                write(file, done)
    return pd.DataFrame([done[key] for key in wanted], columns=COLUMNS)


def estimate(estimator: Estimator, train: Pairs, held_out: Pairs, *, seed: int) -> dict[str, Any]:
    """One estimate, in nats.

    Returns:
        value, upper and ceiling on the held-out pairs; train: the value on the pairs of the fit;
        is_lower_bound; seconds; note: why the estimator refused, and then every number is NaN.
    """
    began = perf_counter()
    found, of_train, note = Estimate(nan), nan, ""
    try:
        fitted = estimator.fit(train, seed=seed)
        found, of_train = fitted(held_out), fitted(train).value if estimator.learns else nan
        note = "" if isfinite(found.value) else f"the estimate is {found.value}"
    except ValueError as error:
        note = " ".join(str(error).split())
    seconds = round(perf_counter() - began, 3)
    numbers = found._asdict() | {"train": of_train, "is_lower_bound": estimator.is_lower_bound}
    return numbers | {"seconds": seconds, "note": note}


def read(file: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The rows of ``cells.csv`` by `KEY`; none if there is no such file."""
    if not file.exists():
        return {}
    text = {"settings": str, "note": str}
    frame = pd.read_csv(file, usecols=COLUMNS, dtype=text, float_precision="round_trip")
    rows = frame.fillna({"note": ""}).to_dict("records")
    return {tuple(row[name] for name in KEY): row for row in rows}


def write(file: Path, cells: dict[tuple[Any, ...], dict[str, Any]]) -> None:
    """Replace ``cells.csv`` as a whole, so that an interrupted run can continue."""
    write_text(file, pd.DataFrame(list(cells.values()), columns=COLUMNS).to_csv(index=False))


if __name__ == "__main__":
    main()
