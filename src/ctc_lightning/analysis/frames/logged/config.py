"""A run's composed configuration, ``config.yaml``."""

from pathlib import Path
from typing import Any

import yaml

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it was compiled


def read_config(file: Path) -> dict[str, Any]:
    """The plain values.

    Raises:
        ValueError: the file is missing, is broken, or names no data set.
    """
    try:
        config = yaml.load(file.read_text(), _Loader)  # noqa: S506  # a safe loader
        config["data"]["name"]
    except FileNotFoundError as problem:
        raise ValueError(f"{file} is missing: it names the data set of the results beside it") from problem
    except (yaml.YAMLError, KeyError, TypeError) as problem:
        raise ValueError(
            f"{file} has no data.name: the composed configuration must name its data"
        ) from problem
    return config
