"""Which checkpoint a run resumes from, and whether it fits."""

from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import nn


def checkpoint_to_resume(resume: str | None, run_dir: Path) -> Path | None:
    """The file to resume from.

    Args:
        resume: None: none. ``auto``: ``last.ckpt`` of ``run_dir``, if there is one. Else a file.
        run_dir: the run's directory.

    Raises:
        ValueError: the named file does not exist.
    """
    if resume is None:
        return None
    if resume == "auto":
        last = run_dir / "checkpoints" / "last.ckpt"
        return last if last.is_file() else None
    if not Path(resume).is_file():
        raise ValueError(
            f"resume={resume}: there is no such checkpoint; name a .ckpt file, or resume=auto with "
            "hydra.run.dir=RUN_DIR."
        )
    return Path(resume)


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
    for name in [*expected, *state]:
        here = tuple(expected[name].shape) if name in expected else "missing"
        there = tuple(state[name].shape) if name in state else "missing"
        if here != there:
            raise ValueError(
                f"{path} does not fit: {name} is {there} in the checkpoint and {here} in this configuration; "
                "resume with the configuration that wrote it (config.yaml in its run directory)."
            )
