"""Hydra's sweep by Optuna: each trial is a job, and the study is a file in the sweep's folder."""

import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from filelock import Timeout
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from ctc_lightning.checks import count
from ctc_lightning.cli.console import set_up_console
from ctc_lightning.files.atomic_write import write_text
from ctc_lightning.files.locks import locked
from ctc_lightning.sweep.failures import failed, refuse_failed
from ctc_lightning.sweep.interrupt import end_if_noted
from ctc_lightning.sweep.job import refuse_ranks
from ctc_lightning.sweep.space import distribution_of, load_optuna
from ctc_lightning.sweep.study import Study, overrides_of


class OptunaSweeper(Sweeper):
    """Tries values where earlier trials make good ones likely; several objectives give a Pareto front.

    All objectives are accuracies: more is better. A killed sweep goes on with the same command and the same
    ``hydra.sweep.dir``: what is finished counts, what was running is trained on with the same values.

    Args:
        n_trials: of the whole study; failed ones among them.
        n_jobs: trials given to the launcher at once. The next ones are chosen when all of them are over.
        sampler: configuration of one of ``optuna.samplers``, to which a seed is given.
        seed: of the first trial, see `Study`.
        params: what is searched, beside the command line; see `ctc_lightning.sweep.space`.

    Raises:
        ValueError: a number below 1; Optuna is not installed.
    """

    def __init__(
        self,
        n_trials: int,
        n_jobs: int,
        sampler: DictConfig,
        seed: int,
        params: dict[str, str] | None = None,
    ) -> None:
        count("hydra.sweeper", n_trials=n_trials, n_jobs=n_jobs)
        self.n_trials, self.n_jobs = n_trials, n_jobs
        load_optuna()  # or the sampler's name would be said to be wrong
        self.sampler, self.seed = partial(instantiate, sampler), seed
        self.params = dict(params or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's part."""
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run trials until there are enough, then write the front.

        Raises:
            ValueError: this is one of several ranks; there is nothing to search; the folder is another
                process's, or another sweep's.
            SweepError: some failed; all others are finished.
        """
        set_up_console()
        refuse_ranks()
        assert self.config is not None
        assert self.launcher is not None
        folder = Path(self.config.hydra.sweep.dir)
        fixed, searched = self._parse(arguments)
        jobs = list[JobReturn]()
        with _alone(folder):
            study = Study(
                folder,
                objectives=self.config.objectives,
                sampler=self.sampler,
                seed=self.seed,
                space={key: distribution_of(override) for key, override in searched.items()},
                about={key: override.get_value_string() for key, override in searched.items()}
                | {"all other options": " ".join(fixed)},
            )
            write_text(folder / "multirun.yaml", OmegaConf.to_yaml(self.config))
            while trials := study.next_trials(self.n_jobs, self.n_trials):
                batch = [[*fixed, *overrides_of(trial)] for trial in trials]
                self.validate_batch_is_legal(batch)
                with end_if_noted(str(folder)):
                    returned = self.launcher.launch(batch, initial_job_idx=trials[0].number)
                for trial, job in zip(trials, returned, strict=True):
                    if job.status == JobStatus.COMPLETED:
                        study.succeed(trial, job.return_value)
                    else:
                        study.fail(trial)
                jobs += returned
            from ctc_lightning.sweep.front import write_front  # noqa: PLC0415  # draws

            write_front(study.trials, study.objectives, folder)
        again = shlex.quote(f"hydra.sweep.dir={folder}")
        more = f"The same command with {again} hydra.sweeper.n_trials=N tries others."
        refuse_failed(failed(jobs), len(jobs), folder, more)

    def _parse(self, arguments: list[str]) -> tuple[list[str], dict[str, Override]]:
        """Fixed overrides as text, and those to search by their key; the command line outdoes the file."""
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        texts = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        by_key = {one.get_key_element(): one for one in parser.parse_overrides(texts)}
        searched = {key: one for key, one in by_key.items() if one.is_sweep_override()}
        if not searched:
            raise ValueError(
                "there is nothing to search: give an interval, for example "
                "'model.temperature=tag(log, interval(0.03, 1))'."
            )
        fixed = [one.input_line or "" for key, one in by_key.items() if key not in searched]
        return fixed, searched


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / ".lock", patience=0))
        except Timeout as error:
            raise ValueError(
                f"another process runs the sweep in {folder}; wait for it, or choose another hydra.sweep.dir."
            ) from error
        yield
