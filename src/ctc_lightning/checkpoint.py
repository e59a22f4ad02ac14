"""Which checkpoint a run resumes from, and whether it fits."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from ctc_lightning.run_name import started_again

log = logging.getLogger(__name__)


def checkpoint_to_resume(resume: str | None, run_dir: Path) -> Path | None:
    """The file to resume from; of a run that is `started_again` its own last one, if there is one.

    Args:
        resume: ``auto``: ``last.ckpt`` of ``run_dir``, if there is one. None: none, and the directory shall
            hold none. ``never``: none, whatever is there. Else a file.
        run_dir: the run's directory.

    Raises:
        ValueError: the named file does not exist, or the run would replace another one.
    """
    last = run_dir / "checkpoints" / "last.ckpt"
    if last.is_file() and (resume == "auto" or started_again()):
        return last
    if resume == "auto":
        log.info("There is no %s to resume from: this run starts from the beginning.", last)
        return None
    if resume == "never":
        return None
    origin = None if resume is None else Path(resume)
    if origin and not origin.is_file():
        raise ValueError(
            f"resume={resume}: there is no such checkpoint; name a .ckpt file, or resume=auto with "
            "hydra.run.dir=RUN_DIR."
        )
    if last.is_file() and not (origin and origin.parent.samefile(last.parent)):
        raise ValueError(
            f"{run_dir} holds a run already; go on with it by resume=auto, replace it from the beginning by "
            "resume=never, or choose another directory by hydra.run.dir=RUN_DIR."
        )
    return origin


def forget_checkpoints(run_dir: Path) -> None:
    """Remove those of a run that is to be replaced: they must not be resumed or measured as the new one's."""
    for path in (run_dir / "checkpoints").glob("*.ckpt"):
        path.unlink()


def finished_steps(path: Path) -> int:
    """How many optimizer steps a checkpoint's training has made."""
    return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["global_step"])


# How the same images are reached, which the weights do not depend on
_INCIDENTAL = (
    "data.root",
    "data.cache_dir",
    "data.shard_cache",
    "data.num_workers",
    "data.prefetch_factor",
    "data.check",
)
_DECISIVE = (
    "data",
    "network",
    "model",
    "optim",
    "seed",
    "label_smoothing",
    "trainer.max_epochs",
    "trainer.precision",
    "trainer.accumulate_grad_batches",
    "callbacks.weight_average",
)


def check_unchanged(config: dict[str, Any], path: Path, global_batch: int, *, allow: bool = False) -> None:
    """Refuse to resume with other data, network, method, optimizer, seed or length than the checkpoint's.

    Args:
        config: the composed configuration as plain values.
        path: of the checkpoint, which holds the configuration that wrote it.
        global_batch: images in an optimizer step of all ranks; learning rate and schedule hang on it.
        allow: log the differences instead.

    Raises:
        ValueError: names every key that differs, with both values; with ``allow``, only of a run that has
            nothing left to train, whose weights would be called after a configuration they never met.
    """
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    changed = changes(content.get("config") or config, config)
    if (before := content.get("global_batch", global_batch)) != global_batch:
        changed.append(f"an optimizer step was of {before} images of all ranks and is of {global_batch}")
    finished = content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    if changed and allow and finished >= config["trainer"]["max_epochs"]:
        raise ValueError(
            f"{path} has finished its {finished} epochs with another configuration: {', '.join(changed)}; "
            "begin a new run, or raise trainer.max_epochs."
        )
    if changed and allow:
        log.warning("Resuming with another configuration: %s", ", ".join(changed))
    elif changed:
        raise ValueError(
            f"{path} was written with another configuration: {', '.join(changed)}; resume with the same one, "
            "set allow_changes=true if that is meant, or begin a new run."
        )


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """``KEY was … and is …`` for each that weights depend on and that differs; both are plain values."""
    then, now = dict(_leaves(before)), dict(_leaves(now))
    return [
        f"{key} was {then.get(key)} and is {now.get(key)}"
        for key in sorted(then.keys() | now.keys())
        if key.startswith(_DECISIVE) and key not in _INCIDENTAL and then.get(key) != now.get(key)
    ]


def _leaves(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


_CLASSIFIER = "network.classifier.weight"


def check_num_classes(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], what: str) -> None:
    """Refuse a classifier of another number of classes than the data have.

    Raises:
        ValueError: names both numbers.
    """
    if _CLASSIFIER not in state:
        return
    here, there = len(expected[_CLASSIFIER]), len(state[_CLASSIFIER])
    if here != there:
        raise ValueError(
            f"{what} classifies {there} classes and the data have {here}: choose the data it was trained on, "
            "or begin a new run."
        )


def check_fits(module: nn.Module, path: Path) -> None:
    """Compare a checkpoint's tensors with the module's before anything is loaded.

    Raises:
        ValueError: it is not a checkpoint, or its first tensor of another shape or name.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
    except (UnpicklingError, RuntimeError, KeyError, TypeError, EOFError, ValueError, OSError) as error:
        raise ValueError(f"{path} is no complete Lightning checkpoint; resume from another.") from error
    expected = module.state_dict()
    check_num_classes(expected, state, f"the checkpoint {path}")
    for name in [*expected, *state]:
        here = tuple(expected[name].shape) if name in expected else "missing"
        there = tuple(state[name].shape) if name in state else "missing"
        if here != there:
            raise ValueError(
                f"{path} does not fit: {name} is {there} in the checkpoint and {here} in this configuration; "
                "resume with the configuration that wrote it (config.yaml in its run directory)."
            )
