"""``logger=wandb``: one W&B run for one run directory, also across resumes, with its checkpoints."""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only

from ctc_lightning.checks import in_range
from ctc_lightning.cli.configuration import WANDB_ID
from ctc_lightning.cli.run_name import started_again
from ctc_lightning.files.atomic_write import RESUME, write_text
from ctc_lightning.files.digests import digest_of
from ctc_lightning.networks.weights_file import read_weights_file
from ctc_lightning.training.private_names import WANDB_FLUSH_SECONDS


class WandBRun(WandbLogger):
    """Lightning's WandbLogger, with all files in ``run_dir`` and an end at the end of each training.

    The run's id is kept in ``run_dir/wandb/ctc_run_id``, so that a resumed training goes on in the same W&B
    run and one that begins again gets a new one. A training that ends well logs its checkpoints as one
    artefact of type ``model``. Its metadata say from which run, data, configuration (by digest) and commit it
    came and after how many epochs; online, the run also uses an artefact of type ``dataset`` that holds the
    data set's name, classes and counts. The files are referred to where they are, not copied: offline, keep
    the run's directory until ``wandb sync``.

    Args:
        run_dir: the run's directory.
        project: W&B's project.
        entity: W&B's team or user; None: W&B's default.
        name: the run's name in W&B.
        group: of runs that belong together, as seeds do.
        tags: any words.
        offline: write files only; ``WANDB_MODE=offline`` does the same.
        resume: the training's ``resume``; None, ``never``: it begins, unless it is `started_again`.
        checkpoints: names of the checkpoints to log; none: no artefact.
        init_timeout: seconds to wait for W&B's server before training.

    Raises:
        ValueError: ``init_timeout`` <= 0; on first use, before training, W&B cannot be reached or does not
            know the user.
    """

    def __init__(
        self,
        *,
        run_dir: str,
        project: str,
        entity: str | None = None,
        name: str | None = None,
        group: str | None = None,
        tags: Sequence[str] | None = None,
        offline: bool = False,
        resume: str | None = None,
        checkpoints: Sequence[str] = (),
        init_timeout: float = 90.0,
    ) -> None:
        in_range("logger.wandb", "(0, inf)", example=90, init_timeout=init_timeout)
        settings = wandb.Settings(init_timeout=init_timeout)
        if hasattr(settings, WANDB_FLUSH_SECONDS):
            setattr(settings, WANDB_FLUSH_SECONDS, 1.0)
        super().__init__(
            name=name,
            project=project,
            save_dir=run_dir,
            entity=entity,
            group=group,
            tags=list(tags or ()),
            mode="offline" if offline else None,  # None: as the environment says
            settings=settings,
        )
        del self._wandb_init["anonymous"]  # W&B warns of it
        self.run_dir = Path(run_dir)
        self.goes_on = started_again() or resume not in (None, "never")
        self.checkpoints = list(checkpoints)
        self.config: dict[str, Any] = {}

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run, begun on first use."""
        if self._experiment is None:
            self._id = self._wandb_init["id"] = self.run_id()
            offline = wandb.setup().settings.mode == "offline" or self._wandb_init["mode"] == "offline"
            self._wandb_init["resume"] = "allow" if self.goes_on and not offline else None
            self.run_dir.mkdir(parents=True, exist_ok=True)  # W&B would write elsewhere
            try:
                return super().experiment
            except wandb.errors.Error as error:
                raise ValueError(
                    f"logger=wandb: W&B cannot begin a run ({' '.join(str(error).split()).rstrip('.')}); run "
                    "`wandb login`, check the network, or set logger.wandb.offline=true."
                ) from error
        return self._experiment

    def run_id(self) -> str:
        """The id of the run that goes on, else a new one, written down."""
        file = self.run_dir / WANDB_ID
        if self.goes_on and file.exists():
            return file.read_text().strip()
        name = secrets.token_hex(4)
        write_text(file, f"{name}\n", RESUME)
        self.goes_on = True  # if this process begins again
        return name

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        """The configuration and the record of the images, as nested values."""
        self.config = {name: value for name, value in dict(params).items() if name != "images"}
        super().log_hyperparams(params)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the W&B run: the next job of a sweep in this process begins its own."""
        if self._experiment is None:
            return
        if status == "success":
            self.log_checkpoints()
        self._experiment.finish(exit_code=0 if status == "success" else 1)
        self._experiment = None

    def log_checkpoints(self) -> None:
        """The artefact, and what it was made from."""
        files = [self.run_dir / "checkpoints" / f"{name}.ckpt" for name in self.checkpoints]
        files = [file for file in files if file.is_file()]
        if not files:
            return
        data = {"name": self._of_config("data", "name"), **self._provenance().get("data", {})}
        if not self.experiment.offline:  # W&B cannot take note of inputs offline
            used = wandb.Artifact(_artifact_name(data["name"]), type="dataset", metadata=data)
            with used.new_file("data.json") as file:
                json.dump(data, file)
            self.experiment.use_artifact(used)
        moments = {file.name: _moment(file) for file in files}
        metadata = {
            "run": self.run_dir.name,
            "method": self._of_config("method"),
            "seed": self._of_config("seed"),
            "data": data,
            "config_digest": digest_of(self.config),
            "commit": self._provenance().get("commit"),
            "checkpoints": moments,
        }
        name = _artifact_name(f"{data['name']}_{metadata['method']}-{self.experiment.id}")
        model = wandb.Artifact(name, type="model", metadata=metadata)
        for path in files:
            model.add_file(str(path), name=path.name, policy="immutable", skip_cache=True)
        epochs = max(moment["epoch"] for moment in moments.values())
        self.experiment.log_artifact(model, aliases=["latest", f"epoch_{epochs:03d}"])

    def _of_config(self, *keys: str) -> Any:
        value: Any = self.config
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def _provenance(self) -> dict[str, Any]:
        file = self.run_dir / "provenance.json"
        return json.loads(file.read_text()) if file.is_file() else {}


def _moment(checkpoint: Path) -> dict[str, Any]:
    """Finished epochs and steps, and the stage."""
    saved = read_weights_file(checkpoint)
    return {"epoch": saved["epoch"] + 1, "step": saved["global_step"], "stage": saved.get("stage")}


def _artifact_name(text: Any) -> str:
    return re.sub(r"[^\w.-]", "_", str(text))
