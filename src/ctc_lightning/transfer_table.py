"""`ctc_lightning.evaluate`: what ``python -m ctc_lightning.transfer`` measures, as a table in Python."""

import copy
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from omegaconf import DictConfig
from pytorch_lightning.utilities.seed import isolate_rng
from torch import nn

from ctc_lightning.cli.composed import compose_options, our_hydra, set_options
from ctc_lightning.cli.option_types import check_types
from ctc_lightning.data.data_module import ImageDataModule
from ctc_lightning.data.network_input import NetworkInput
from ctc_lightning.evaluation.evaluate import begin, find_device, make_protocols
from ctc_lightning.evaluation.given_targets import Given, open_given, split_targets
from ctc_lightning.evaluation.results import COLUMNS, FAILED, NO_EPOCH, Row
from ctc_lightning.evaluation.sources import EvaluationSource, Found, data_options, find_subjects
from ctc_lightning.module import CTCModule
from ctc_lightning.networks.width import find_width
from ctc_lightning.prediction.predictor import is_export, open_predictor

# Of transfer, without a meaning here
_NO_OPTIONS = ("run", "checkpoint", "target", "watch", "num_threads")


def evaluate(
    network: nn.Module | str | Path,
    targets: Any = None,
    protocols: str | Sequence[str] | Mapping[str, Mapping[str, Any]] = ("logreg", "knn"),
    *,
    overrides: Sequence[str] = (),
    **options: Any,
) -> pd.DataFrame:
    """Measure frozen features on other tasks; the same numbers as ``python -m ctc_lightning.transfer``.

    Of a run or a checkpoint, ``results.csv`` and ``features/`` of the run are used and completed: what has
    been measured is not measured again. Of a module or an exported folder nothing is kept, unless
    ``output=FOLDER`` is given. The module, its mode and the random state are left as they are.

    Args:
        network: a `CTCModule`; a module (B, C, H, W) to (B, F); a run directory, a ``.ckpt`` file, or a
            folder that ``ctc_lightning.export`` wrote.
        targets: one target or a list of them; None: the further labels of the run's own data. A target is a
            name as in ``transfer target=NAME``, a LightningDataModule, or tensors: ``(images, labels)``, of
            which a fifth is held out for test and a fifth of the rest for validation,
            ``((images, labels), (images, labels))`` for train and test, or three pairs for train, validation
            and test. Images are uint8, or floats as the network sees them. ``{"name": target}`` says what
            the table calls them.
        protocols: names of ``conf/protocol``, or ``{"knn": {"neighbours": [1, 5]}}`` with their options.
        overrides: further ones as on the command line of ``transfer``.
        options: of ``transfer`` by name: ``output``, ``device``, ``trust``, ``keep_features``; ``root``,
            ``num_train``, … of targets that are names; ``image_size``, ``mean`` and ``std`` that a module
            expects: by default, images are shown to it as its training images were, or else as they are.

    Returns:
        A row for each number, with the columns of ``results.csv`` (`Row`); a failed measurement is a row of
        the metric "failed" that gives the reason in ``note``.

    Raises:
        ValueError: an option or a target that cannot work; no measurement succeeded.

    Example:
        >>> images, labels = torch.rand(90, 3, 8, 8), torch.arange(90) % 3
        >>> backbone = nn.Sequential(nn.Flatten(), nn.Linear(192, 16))
        >>> table = evaluate(backbone, (images, labels), protocols="knn")
        >>> set(table.target), set(table.protocol)
        ({'images'}, {'knn'})
    """
    names, given = split_targets(targets)
    chosen = protocols if isinstance(protocols, Mapping) else {name: {} for name in _listed(protocols)}
    if useless := [name for name in _NO_OPTIONS if name in options]:
        raise ValueError(f"evaluate has no option {useless[0]}; leave it out.")
    words = [f"protocol=[{','.join(chosen)}]", *overrides]
    cfg, words = compose_options("transfer", words, options, ("", "data", "input"), "evaluate")
    with isolate_rng(), our_hydra("transfer", words), ExitStack() as stack:
        for name, own in chosen.items():
            set_options(cfg, own, [f"protocol.{name}"], f"protocol {name}")
        cfg.target = names
        check_types(cfg)
        if names == [] and (unused := _set(cfg.data)):
            raise ValueError(f"{unused[0]} is for targets that are named, and there are none; leave it out.")
        made, place = make_protocols(cfg), _device(network, cfg.device)
        subjects = _subjects(network, cfg, given, stack)
        rows = [row for found in subjects.values() for row in _rows(cfg, found, made, given, place)]
    measured = [row for row in rows if row.metric != FAILED]
    if rows and not measured:
        raise ValueError(f"nothing was measured: {rows[0].note}")
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.replace({"epoch": NO_EPOCH, "step": NO_EPOCH}, pd.NA)


def _listed(given: str | Sequence[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _set(section: DictConfig) -> list[str]:
    return [str(key) for key, value in section.items() if value is not None]


def _subjects(
    network: nn.Module | str | Path, cfg: DictConfig, given: Given, stack: ExitStack
) -> Mapping[Path, Found]:
    """What is to be evaluated, by the folder of its results."""
    if not isinstance(network, nn.Module):
        if not isinstance(network, str | Path):
            raise ValueError(  # noqa: TRY004
                f"network is {network!r}; give a module, a run directory, a checkpoint or an exported folder."
            )
        path = Path(network)
        if not path.exists():
            raise ValueError(
                f"{path} does not exist; give a module, a run directory, a checkpoint or an exported folder."
            )
        if not is_export(path):
            cfg["run" if path.is_dir() else "checkpoint"] = str(path)
            return find_subjects(cfg)
    folder = cfg.output or stack.enter_context(tempfile.TemporaryDirectory())
    if isinstance(network, nn.Module):
        backbone, expected = copy.deepcopy(_backbone(network)), _known_input(network)
        classifier = copy.deepcopy(network.classifier) if isinstance(network, CTCModule) else None
        name, when = type(network).__name__, (0, 0)
        if isinstance(network, CTCModule):
            name = network.hparams.get("preset", name)
            when = int(network.current_epoch), int(network.global_step)
    else:
        exported = open_predictor(Path(network), trust=cfg.trust)
        backbone, expected, name, when = exported.backbone, exported.input, Path(network).name, (0, 0)
        classifier = exported.classifier if isinstance(exported.classifier, nn.Linear) else None
    expected = _as_given(cfg, expected)
    targets = {called: open_given(called, data, expected) for called, data in given.items()}
    if expected is None and cfg.target:
        raise ValueError(
            "nothing says what images the module expects; give image_size=S, mean=[...] and std=[...], by "
            "which the targets that are named are prepared."
        )
    if expected is None and targets:
        expected = next(iter(targets.values())).data.network_input
    if expected is None:
        raise ValueError(
            "there is no target: a module has no labels of its own; give targets=[...] by name, as a "
            "LightningDataModule, or as (images, labels)."
        )
    remedy = "give image_size=S, mean=[...] and std=[...], or other images"
    backbone.eval().num_features = find_width(backbone, expected.shape, remedy)  # type: ignore[assignment]
    source = EvaluationSource(
        Path(folder) / name if cfg.output is None else Path(folder),
        name,
        0,
        None,
        expected,
        {when: lambda: (backbone, classifier)},
        options=data_options(cfg),
        targets=targets,
    )
    return {source.folder: partial(_found, source)}


def _found(source: EvaluationSource) -> tuple[EvaluationSource, list[Row]]:
    return source, []


def _backbone(network: nn.Module) -> nn.Module:
    return network.backbone if isinstance(network, CTCModule) else network


def _known_input(network: nn.Module) -> NetworkInput | None:
    """What a module's training images looked like, if that is known."""
    if not isinstance(network, CTCModule):
        return None
    try:
        data = getattr(network.trainer, "datamodule", None)
    except RuntimeError:  # it is attached to none
        data = None
    if isinstance(data, ImageDataModule) and hasattr(data, "standardise"):
        return data.network_input
    return network.network_input


def _as_given(cfg: DictConfig, known: NetworkInput | None) -> NetworkInput | None:
    """The user's ``image_size``, ``mean`` and ``std`` before what is known.

    Raises:
        ValueError: some are given, and nothing is known of the others.
    """
    given: dict[str, Any] = {key: cfg.input[key] for key in _set(cfg.input)}
    if not given:
        return known
    if known is None and (lacking := [key for key in cfg.input if key not in given]):
        raise ValueError(f"{', '.join(given)} without {', '.join(map(str, lacking))}; give all three.")
    mean, std = (tuple(given[key] if key in given else getattr(known, key)) for key in ("mean", "std"))
    size = given["image_size"] if "image_size" in given else known.shape[-1]  # type: ignore[union-attr]
    return NetworkInput((len(mean), size, size), mean, std)


def _rows(
    cfg: DictConfig, found: Found, protocols: Mapping[str, Any], given: Given, place: torch.device
) -> list[Row]:
    """Evaluate one run or module; the rows of what was asked for."""
    work, broken = begin(cfg, found, protocols, place)
    if work is None:
        return broken
    opened = work.subject.targets
    work.run(
        cfg.target,
        [opened.get(name) or open_given(name, data, work.subject.expected) for name, data in given.items()],
    )
    work.subject.table.compact()
    return [*broken, *work.rows()]


def _device(network: Any, name: str) -> torch.device:
    """``auto``: a module's own."""
    if isinstance(network, nn.Module) and name == "auto":
        return next((weight.device for weight in network.parameters()), torch.device("cpu"))
    return find_device(name)
