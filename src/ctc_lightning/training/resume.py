"""Which checkpoint a run resumes from, and whether it fits."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ctc_lightning.cli.run_name import started_again
from ctc_lightning.data.class_names import difference
from ctc_lightning.files.old_names import with_new_names
from ctc_lightning.memory.bank import MemoryBank
from ctc_lightning.networks.state_dict import differences
from ctc_lightning.networks.weights_file import read_weights_file

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
    return int(read_weights_file(path)["global_step"])


# How the same images are reached and sums are cut in blocks, which is not what is trained
_INCIDENTAL = (
    "data.root",
    "data.cache_dir",
    "data.shard_cache",
    "data.num_workers",
    "data.prefetch_factor",
    "data.worker_timeout",
    "data.max_pixels",
    "data.check",
    "data.resplit",
    ".block_mib",
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


def data_changes(path: Path, data: Mapping[str, Any]) -> list[str]:
    """A phrase for each difference between a checkpoint's training data and today's: classes and images.

    Args:
        path: of the checkpoint; an older one has no record of its images, or none of its classes.
        data: of `data_record`.

    Raises:
        ValueError: it is not a checkpoint.
    """
    content = _read(path)
    classes = difference(content.get("classes") or (), data["classes"])
    now = {"num": data["images"], "digest": None if classes else data["digest"]}
    return [*([classes] if classes else []), *image_changes(content.get("images"), now)]


def image_changes(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> list[str]:
    """A phrase for each split of another number of images, else one if the images are others.

    Args:
        before: of `image_record`; None where it was not recorded.
        now: likewise; ``digest`` None: only numbers are compared.
    """
    if not before:
        return []
    changed = [
        f"there were {num} {split} images and are {now['num'].get(split)}"
        for split, num in before["num"].items()
        if num != now["num"].get(split)
    ]
    digests = {before["digest"], now["digest"]}
    if not changed and len(digests) > 1 and None not in digests:
        changed = ["the images have other names or content than before"]
    return changed


def check_unchanged(
    config: dict[str, Any],
    path: Path,
    global_batch: int,
    changed_data: Sequence[str] = (),
    *,
    allow: bool = False,
) -> None:
    """Refuse to resume with other data, network, method, optimizer, seed or length than the checkpoint's.

    Args:
        config: the composed configuration as plain values.
        path: of the checkpoint, which holds the configuration that wrote it.
        global_batch: images in an optimizer step of all ranks; learning rate and schedule hang on it.
        changed_data: of `data_changes`.
        allow: log the differences instead.

    Raises:
        ValueError: names every key that differs, with both values; with ``allow``, only of a run that has
            nothing left to train, whose weights would be called after a configuration they never met.
    """
    content = _read(path)
    changed = changes(with_new_names(content.get("config") or config), config)
    if (before := content.get("global_batch", global_batch)) != global_batch:
        changed.append(f"an optimizer step was of {before} images of all ranks and is of {global_batch}")
    what = {"another configuration": changed, "other data": changed_data}
    kinds = " and ".join(kind for kind, found in what.items() if found)
    differences = ", ".join([*changed, *changed_data])
    finished = content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    if differences and allow and finished >= config["trainer"]["max_epochs"]:
        raise ValueError(
            f"{path} has finished its {finished} epochs with {kinds}: {differences}; begin a new run, or "
            "raise trainer.max_epochs."
        )
    if differences and allow:
        log.warning("Resuming with %s: %s", kinds, differences)
    elif differences:
        raise ValueError(
            f"{path} was written with {kinds}: {differences}; resume with the same, set allow_changes=true "
            "to continue with what there is now, or resume=never to replace the run from the beginning."
        )


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """``KEY was … and is …`` for each that weights depend on and that differs; both are plain values."""
    then, now = dict(_leaves(before)), dict(_leaves(now))
    return [
        f"{key} was {then.get(key)} and is {now.get(key)}"
        for key in sorted(then.keys() | now.keys())
        if key.startswith(_DECISIVE) and not key.endswith(_INCIDENTAL) and then.get(key) != now.get(key)
    ]


def _leaves(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


_CLASSIFIER = "network.classifier.weight"


def check_fits(module: nn.Module, path: Path, changed_data: Sequence[str] = ()) -> None:
    """Compare a checkpoint's tensors with the module's before anything is loaded.

    Args:
        module: to be filled.
        path: of the checkpoint.
        changed_data: of `data_changes`: a classifier has a row for each class, a bank one for each image.

    Raises:
        ValueError: it is not a checkpoint, or holds tensors of other names or shapes.
    """
    expected, state = module.state_dict(), _read(path)["state_dict"]
    because = f", as {', '.join(changed_data)}" if changed_data else ""
    if _CLASSIFIER in state and len(expected[_CLASSIFIER]) != len(state[_CLASSIFIER]):
        raise ValueError(
            f"the checkpoint {path} classifies {len(state[_CLASSIFIER])} classes and the data have "
            f"{len(expected[_CLASSIFIER])}{because}: choose the data it was trained on, or resume=never to "
            "replace the run from the beginning."
        )
    banks = {name: part for name, part in module.named_modules() if isinstance(part, MemoryBank)}
    for name, bank in banks.items():
        rows = len(state.get(f"{name}.row_ND", bank.row_ND))
        if rows != bank.num_images:
            said = because or f", as there were {rows} train images and are {bank.num_images}"
            raise ValueError(
                f"{path} cannot be resumed{said}: a memory bank has one row for each training image, also "
                "with allow_changes=true; restore the images, set resume=never to replace the run from the "
                f"beginning, or start another run from its weights with network.pretrained={path}."
            )
    if problems := differences(expected, state):
        raise ValueError(
            f"{path} does not fit this configuration{because}: it {problems}; resume with the configuration "
            "that wrote it (config.yaml in its run directory)."
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = read_weights_file(path)
        content["state_dict"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no complete Lightning checkpoint; resume from another.") from error
    return dict(content)
