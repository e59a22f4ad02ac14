"""An Optuna study in a file: what to try next, what came of it, and what a killed process left."""

import logging
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ctc_lightning.sweep.space import load_optuna

log = logging.getLogger(__name__)

FILE = "study.journal"  # in the sweep's folder

Trial = Any  # optuna.trial.FrozenTrial


class Study:
    """Trials in their order, of which each maximises all objectives at once.

    Trial n is chosen by a sampler with seed + n, from the trials before it: a study that was killed and goes
    on chooses as if it had not been.

    Args:
        folder: of the file.
        objectives: their names.
        sampler: makes one from a seed.
        seed: as above.
        space: what is searched, by the overrides' keys.
        about: all that trials depend on, plain values; a study of something else is refused.

    Raises:
        ValueError: Optuna is not installed; the file holds a study of something else.
    """

    def __init__(
        self,
        folder: Path,
        *,
        objectives: Sequence[str],
        sampler: Callable[..., Any],
        seed: int,
        space: dict[str, Any],
        about: dict[str, Any],
    ) -> None:
        optuna = self.optuna = load_optuna()
        backend = import_module("optuna.storages.journal").JournalFileBackend(str(folder / FILE))
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.objectives, self.space = list(objectives), space
        self.sampler, self.seed = sampler, seed
        self.study = optuna.create_study(
            storage=optuna.storages.JournalStorage(backend),
            study_name="sweep",
            directions=["maximize"] * len(self.objectives),
            sampler=sampler(seed=seed),
            load_if_exists=True,
        )
        about = {**about, "objectives": self.objectives}
        before = self.study.user_attrs.get("about", about)
        if changed := [key for key in about if before.get(key) != about[key]]:
            raise ValueError(
                f"{folder} holds another sweep: {changed[0]} was {before.get(changed[0])} and is "
                f"{about[changed[0]]}; give the same command as then, or another hydra.sweep.dir."
            )
        self.study.set_user_attr("about", about)

    @property
    def trials(self) -> list[Trial]:
        """All, in their order."""
        return self.study.get_trials(deepcopy=False)

    def next_trials(self, at_once: int, in_all: int) -> list[Trial]:
        """What a killed process was at, else new ones; empty when there are enough.

        Args:
            at_once: at most so many.
            in_all: trials of the whole study.
        """
        running = [trial for trial in self.trials if not trial.state.is_finished()]
        for trial in running:
            if trial.params.keys() != self.space.keys():  # killed while it was being chosen
                self.fail(trial)
        left = [trial for trial in running if trial.params.keys() == self.space.keys()]
        if left:
            follow = [trial for i, trial in enumerate(left[:at_once]) if trial.number == left[0].number + i]
            log.info("Going on with trial %s.", " and ".join(str(trial.number) for trial in follow))
            return follow
        for _ in range(min(at_once, in_all - len(self.trials))):
            self.study.sampler = self.sampler(seed=self.seed + len(self.trials))
            self.study.ask(self.space)
        return [trial for trial in self.trials if not trial.state.is_finished()]

    def succeed(self, trial: Trial, values: Any) -> None:
        """Note the objectives; a trial without one, as without validation images, has failed."""
        values = np.atleast_1d(values).astype(float)
        if np.isnan(values).any():
            self.fail(trial)
            return
        self.study.tell(trial.number, values.tolist())
        told = ", ".join(f"{name} {value:.1%}" for name, value in zip(self.objectives, values, strict=True))
        log.info("Trial %d: %s (%s)", trial.number, told, " ".join(overrides_of(trial)))

    def fail(self, trial: Trial) -> None:
        """Note that there is nothing to learn from it."""
        self.study.tell(trial.number, state=self.optuna.trial.TrialState.FAIL)


def overrides_of(trial: Trial) -> list[str]:
    """``KEY=VALUE`` of each searched setting; read back, a value is the same to the last bit."""
    return [f"{key}={value}" for key, value in trial.params.items()]
