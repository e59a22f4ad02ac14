"""``python -m ctc_lightning.predict``: classify and embed the images of a folder. See ``conf/predict.yaml``.

The function is `ctc_lightning.prediction.predict`, which `ctc_lightning.predict` names.
"""

if __name__ == "__main__":  # before the imports that --help and mistakes do not need
    from ctc_lightning.cli.early import answer_early

    answer_early("predict")

import hydra
from omegaconf import DictConfig, OmegaConf

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.cli.console import set_up_console
from ctc_lightning.cli.errors import launch, plain_errors
from ctc_lightning.cli.option_types import check_types
from ctc_lightning.prediction.predict import write_predictions


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="predict")
def run(cfg: DictConfig) -> None:
    """One folder."""
    with plain_errors("predict"):
        set_up_console()
        check_types(cfg)
        write_predictions(**OmegaConf.to_container(cfg, throw_on_missing=True))  # type: ignore[arg-type]


def main() -> None:
    """``python -m ctc_lightning.predict``: errors of the user's are one sentence and exit code 2."""
    launch(run, "predict", kept="nothing is written before all images are")


if __name__ == "__main__":
    main()
