"""One job of a sweep: skip it if it is finished, go on if it is half done, and fail in one sentence."""

import logging
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from filelock import Timeout
from omegaconf import DictConfig, OmegaConf

from ctc_lightning.cli.console import set_up_console
from ctc_lightning.cli.errors import explain, users_mistakes
from ctc_lightning.cli.interrupt import CODE
from ctc_lightning.cli.overrides import quoted
from ctc_lightning.cli.run_name import num_started
from ctc_lightning.files.locks import locked
from ctc_lightning.sweep.failures import JobError
from ctc_lightning.sweep.interrupt import Interrupt, heard_in_job
from ctc_lightning.sweep.objectives import read_objectives

log = logging.getLogger(__name__)


def run_in_sweep(
    train: Callable[[DictConfig, Sequence[str]], Any], cfg: DictConfig, overrides: Sequence[str]
) -> Any:
    """Train as a sweep's job; what was begun in its directory goes on, what was finished stays as it is.

    One process at a time: the jobs of a killed sweep may outlive it, and are waited for.

    Args:
        train: of the configuration and the overrides, returns the objectives.
        cfg: the composed configuration.
        overrides: of this job.

    Raises:
        JobError: whatever went wrong. A signal or Ctrl-C ends the sweep as well, which is no failure.
    """
    set_up_console()
    if Interrupt.noted:
        raise JobError("interrupted")
    run_dir = Path(cfg.paths.run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    try:
        refuse_ranks()
        with heard_in_job(), _alone(run_dir):
            if cfg.resume != "never" and (done := finished_objectives(cfg)) is not None:
                log.info("%s is finished.", run_dir.name)
                return done[0] if len(done) == 1 else done
            further = [
                f"paths.run_dir={quoted(str(run_dir))}",
                "hydra.mode=RUN",
            ]  # with sweep=, they would sweep too
            if cfg.resume != "never" and (run_dir / "checkpoints" / "last.ckpt").is_file():
                cfg = OmegaConf.merge(cfg, {"resume": "auto"})  # type: ignore[assignment]
                further.append("resume=auto")
            resumed = "resume=auto" in further
            kept = [text for text in overrides if not (resumed and text.startswith("resume="))]
            sys.argv[1:] = [*kept, *further]  # Lightning starts further ranks with these
            return train(cfg, overrides)
    except (KeyboardInterrupt, SystemExit) as end:
        if Interrupt.in_sweep or getattr(end, "code", CODE) != CODE:
            raise
        Interrupt.noted, sentence = True, "interrupted"  # the other processes' jobs save, too
    except users_mistakes() as error:
        sentence = explain(error, "train", overrides)
    except Exception as error:  # noqa: BLE001  # the others shall run
        traceback.print_exc()
        sentence = f"{type(error).__name__}: {error}"
    # Out of the block: the error's frames, and the memory that they hold, are gone before the next job
    sys.stderr.write(f"error: {run_dir.name}: {sentence}\n")
    raise JobError(sentence)


def refuse_ranks() -> None:
    """Refuse to sweep as one of several ranks, which would wait for each other's runs.

    Raises:
        ValueError: srun or torchrun started several.
    """
    if (ranks := num_started()) > 1:
        raise ValueError(
            f"srun or torchrun started {ranks} processes, and a sweep is one, whose jobs start their own; "
            "start it as one, with trainer=ddp for jobs on several GPUs."
        )


def finished_objectives(cfg: DictConfig) -> tuple[float, ...] | None:
    """The objectives of the run that is finished in this job's directory, or None.

    Raises:
        ValueError: it was another configuration's run.
    """
    from ctc_lightning.training.resume import changes  # noqa: PLC0415  # imports torch, which --help does not need

    run_dir = Path(cfg.paths.run_dir)
    objectives, record = read_objectives(cfg.objectives, run_dir), run_dir / "config.yaml"
    if objectives is None or not record.is_file():
        return None
    then: Any = OmegaConf.to_container(OmegaConf.load(record))
    now: Any = OmegaConf.to_container(cfg, resolve=True)
    if changed := changes(then, now):
        if cfg.allow_changes:
            return None
        raise ValueError(
            f"{run_dir} holds a run of another configuration: {', '.join(changed)}; choose another "
            "hydra.sweep.dir, or set allow_changes=true to train it further with this one."
        )
    return objectives


@contextmanager
def _alone(run_dir: Path) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(run_dir / ".lock", patience=0))
        except Timeout:
            log.info("Waiting for another process that trains in %s.", run_dir)
            stack.enter_context(locked(run_dir / ".lock"))
        yield
