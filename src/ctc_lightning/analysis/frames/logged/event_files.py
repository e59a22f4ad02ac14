"""Runs from TensorBoard's event files."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from ctc_lightning.analysis.frames.logged.config import read_config
from ctc_lightning.analysis.frames.logged.run import LoggedRun, calls_of

_NOTHING_LEFT_OUT = 0  # TensorBoard otherwise samples
_HYPER_PARAMETERS = "_hparams_/session_start_info"


def read_event_files(path: str, folder: Path) -> LoggedRun:
    """All scalars (float32) of the event files of a folder.

    The configuration is ``hparams.yaml`` beside them, else what the events say of it.

    Args:
        path: what the run is called by.
        folder: with the event files themselves.

    Raises:
        ValueError: TensorBoard is not installed; the files are broken, or do not say the configuration.
    """
    try:
        accumulator = import_module("tensorboard.backend.event_processing.event_accumulator")
    except ImportError as problem:
        raise ValueError(
            f"{folder} holds TensorBoard's event files, and TensorBoard is not installed: "
            "pip install 'ctc-lightning[tensorboard]'"
        ) from problem
    sizes = {"scalars": _NOTHING_LEFT_OUT, "images": 1, "tensors": 1}
    events = accumulator.EventAccumulator(str(folder), sizes).Reload()
    hparams = folder / "hparams.yaml"
    config = read_config(hparams) if hparams.exists() else _config_of(events)
    return LoggedRun(path, config, calls_of(_numbers(events)))


def _numbers(events: Any) -> Iterator[tuple[int, str, float]]:
    """In the order of logging."""
    found = [(event, tag) for tag in events.Tags()["scalars"] for event in events.Scalars(tag)]
    for event, tag in sorted(found, key=lambda pair: pair[0].wall_time):
        yield event.step, tag, event.value


def _config_of(events: Any) -> dict[str, Any]:
    """The table of hyper-parameters, nested again; it knows numbers, truth values and text alone."""
    if _HYPER_PARAMETERS not in events.summary_metadata:
        return {}
    content = events.SummaryMetadata(_HYPER_PARAMETERS).plugin_data.content
    found = import_module("tensorboard.plugins.hparams.plugin_data_pb2").HParamsPluginData.FromString(content)
    config: dict[str, Any] = {}
    for name, value in found.session_start_info.hparams.items():
        node = config
        *parents, key = name.replace("/", ".").split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[key] = _plain(getattr(value, value.WhichOneof("kind")))
    return config


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None if value == "None" else value
