"""The rows of ``results.csv`` from what `TransferProbe` logged."""

import re

import pandas as pd

from ctc_lightning.analysis.frames.logged.run import LoggedRun
from ctc_lightning.evaluation.results import Row

_VALIDATION = re.compile(r"transfer/(?P<target>.+)/(?P<protocol>[^/]+)/val_(?P<metric>[^/]+)")


def results_of(run: LoggedRun) -> pd.DataFrame:
    """Test and validation value of each target's own metric, at each epoch that was probed.

    Returns:
        The columns of ``results.csv``; those that are not logged (intervals, number of images, chosen
        hyper-parameters, digests, failures, other metrics) have their defaults.

    Raises:
        ValueError: nothing of the kind was logged; as `LoggedRun.frame`.
    """
    frame = run.frame()
    measured: dict[str, tuple[str, str, str]] = {}
    for name in frame["name"].unique():
        if found := _VALIDATION.fullmatch(name):
            target, protocol, metric = found.group("target", "protocol", "metric")
            measured[name] = protocol, target, f"val_{metric}"
            measured[f"transfer/{target}/{protocol}"] = protocol, target, metric
    frame = frame[frame["name"].isin(measured)]
    if frame.empty:
        raise ValueError(
            f"{run.path} has logged no transfer accuracy on test and validation: train it with "
            "callbacks.transfer_probe, or run `python -m ctc_lightning.transfer` on its checkpoints"
        )
    names = pd.DataFrame(
        [measured[name] for name in frame["name"]],
        columns=["protocol", "target", "metric"],
        index=frame.index,
    )
    # Lightning counts the steps before the one that was just done, results.csv those that are done
    step = frame["step"] + (frame["epoch"] > 0).astype("int64")
    frame = frame.assign(step=step, epoch=frame["epoch"].astype("int64"), **names)
    return frame.assign(**Row._field_defaults)[[*Row._fields]]
