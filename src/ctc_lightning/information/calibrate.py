"""``python -m ctc_lightning.information calibrate``: how far estimates are from the truth where it is known.

See ``conf/calibrate.yaml``.
"""

import logging
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from tqdm import tqdm

from ctc_lightning.analysis.look import save
from ctc_lightning.config_errors import plain_errors
from ctc_lightning.console import set_up_console
from ctc_lightning.estimators import Estimate, Estimator, Pairs
from ctc_lightning.evaluation.feature_cache import digest_of
from ctc_lightning.information.bias import bias_table
from ctc_lightning.information.calibration_figure import calibration_figure
from ctc_lightning.information.calibration_table import calibration_table
from ctc_lightning.information.cells import Cell, CellsFile, Key, as_frame
from ctc_lightning.information.known import Known
from ctc_lightning.paths import config_dir
from ctc_lightning.transfer.evaluation import find_device

log = logging.getLogger(__name__)


class Draws(NamedTuple):
    """How many pairs there are to fit and to judge, and where they are."""

    num_train: int
    num_held_out: int
    device: torch.device

    def of(self, known: Known, seed: int) -> tuple[Pairs, Pairs]:
        """Independent pairs to fit and to judge."""
        train = known.draw(self.num_train, seed=2 * seed)
        held_out = known.draw(self.num_held_out, seed=2 * seed + 1)
        return self._placed(train), self._placed(held_out)

    def _placed(self, pairs: Pairs) -> Pairs:
        clean_NE = None if pairs.clean_NE is None else pairs.clean_NE.to(self.device)
        return Pairs(pairs.x_NC.to(self.device), pairs.y_NE.to(self.device), clean_NE, pairs.noise)


def calibrate(cfg: DictConfig) -> list[Cell]:
    """Every estimator on every distribution; writes the table and the picture, returns the cells.

    Files in ``cfg.output``: ``cells.csv`` (every estimate; a later call computes what it lacks),
    ``calibration.csv`` (bias and spread over seeds), ``calibration.md``, ``calibration.png`` and ``.svg``.

    Raises:
        ValueError: a value that cannot work.
    """
    estimators = {str(name): instantiate(node) for name, node in (cfg.get("estimator") or {}).items() if node}
    distributions = {str(name): node for name, node in (cfg.get("known") or {}).items() if node}
    if not estimators or not distributions:
        raise ValueError(
            "there is nothing to calibrate; choose for example estimator=[ksg,info_nce] known=[gaussians]."
        )
    for name in ("seeds", "num_train", "num_held_out"):
        if cfg[name] < 1:
            raise ValueError(f"{name} is {cfg[name]}; it must be at least 1.")
    draws = Draws(cfg.num_train, cfg.num_held_out, find_device(cfg.device))
    output = Path(cfg.output)
    file = CellsFile(output / "cells.csv")
    points, left_out = find_points(distributions)
    for reason in left_out:
        log.info("left out: %s", reason)

    wanted = {
        Key(name, known.num_dims, known.information, estimator, seed): settings_of(
            known, estimators[estimator], draws
        )
        for name, known in points
        for seed in range(cfg.seeds)
        for estimator in estimators
    }
    missing = find_missing(file, wanted)
    if len(missing) < len(wanted):
        log.info("%d of %d estimates are there already.", len(wanted) - len(missing), len(wanted))
    with tqdm(total=len(missing), desc="calibrate", unit=" estimates", smoothing=0) as bar:
        for name, known in points:
            for seed in range(cfg.seeds):
                of_point = Key(name, known.num_dims, known.information, "", seed)
                # looked up anew: other processes may share the work
                todo = [key for key in find_missing(file, wanted) if key._replace(estimator="") == of_point]
                if not todo:
                    continue
                train, held_out = draws.of(known, seed)
                for key in todo:
                    bar.set_postfix_str(f"{key.estimator} on {name}, {key.dims} dims", refresh=False)
                    cell = estimate(key, known, estimators[key.estimator], train, held_out)
                    file.put([cell._replace(settings=wanted[key])])
                    bar.update()
    there = file.cells()
    cells = [there[key] for key in wanted]
    write(cells, output, draws)
    return cells


def find_missing(file: CellsFile, wanted: dict[Key, str]) -> list[Key]:
    """Those that are not in the file, or with other settings."""
    there = file.cells()
    return [key for key, settings in wanted.items() if key not in there or there[key].settings != settings]


def find_points(distributions: dict[str, Any]) -> tuple[list[tuple[str, Known]], list[str]]:
    """Every distribution at each of its dimensions and informations, and what does not exist.

    Raises:
        ValueError: none of them exists, or an information is not positive.
    """
    points, left_out = [], []
    for name, node in distributions.items():
        make = instantiate(node.distribution)
        for information in node.informations:
            if not information > 0:
                raise ValueError(
                    f"informations={list(node.informations)}: {information} is not positive; give numbers of "
                    "nats above 0."
                )
        for dims in node.dims:
            for information in node.informations:
                try:
                    points.append((name, make(num_dims=dims, information=information)))
                except ValueError as error:
                    left_out.append(f"{name}, {dims} dimensions, {information:g} nats: {error}")
    if not points:
        raise ValueError(
            f"there is no distribution to calibrate on: {left_out[0] if left_out else 'dims=[]'}"
        )
    return points, left_out


def settings_of(known: Known, estimator: Estimator, draws: Draws) -> str:
    """Digest of all that an estimate depends on, but for its seed."""
    parts = [[type(part).__qualname__, part.settings] for part in (known, estimator)]
    return digest_of([*parts, draws.num_train, draws.num_held_out])


def estimate(key: Key, known: Known, estimator: Estimator, train: Pairs, held_out: Pairs) -> Cell:
    """One cell: fitted on ``train``, judged on ``held_out``. What the estimator refuses is a cell as well."""
    began = time.perf_counter()
    found, of_train, note = Estimate(math.nan), math.nan, ""
    try:
        fitted = estimator.fit(train, seed=key.seed)
        found, of_train = fitted(held_out), fitted(train).value if estimator.learns else math.nan
        note = "" if math.isfinite(found.value) else f"the estimate is {found.value}"
    except ValueError as error:
        note = " ".join(str(error).split())
    seconds = round(time.perf_counter() - began, 3)
    numbers = found.value, of_train, found.upper, found.ceiling, known.standard_error
    return Cell(*key, *numbers, estimator.is_lower_bound, seconds, settings="", note=note)


def write(cells: list[Cell], output: Path, draws: Draws) -> None:
    """The table and the picture of finished cells."""
    frame = as_frame(cells)
    table = bias_table(frame)
    table.to_csv(output / "calibration.csv", index=False)
    (output / "calibration.md").write_text(
        calibration_table(table, draws.num_train, draws.num_held_out), encoding="utf-8"
    )
    save(calibration_figure(table), output / "calibration")
    log.info("Written to %s: calibration.md, calibration.csv, calibration.png, calibration.svg", output)


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="calibrate")
def run(cfg: DictConfig) -> None:
    """One calibration."""
    with plain_errors("calibrate"):
        set_up_console()
        if cfg.num_threads is not None:
            torch.set_num_threads(cfg.num_threads)
        calibrate(cfg)


def main() -> None:
    """``python -m ctc_lightning.information calibrate``: a user's error is one sentence and exit code 2."""
    with plain_errors("calibrate"):
        run()


if __name__ == "__main__":
    main()
