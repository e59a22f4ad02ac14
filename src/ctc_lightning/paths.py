"""Where the configuration is: the wheel's copy, else the checkout's ``conf/``."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def config_dir() -> Path:
    """The folder of YAML files that belongs to this installation.

    Raises:
        FileNotFoundError: neither the checkout nor the wheel has one.
    """
    candidates = (_PACKAGE / "conf", _PACKAGE.parents[1] / "conf")  # a wheel may lie beside another's conf/
    for folder in candidates:
        if (folder / "train.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no train.yaml in {' or '.join(map(str, candidates))}; reinstall ctc_lightning.")
