"""Which runs, and which of their numbers, belong in one table."""

import logging
import shlex
from pathlib import Path

import pandas as pd

from ctc_lightning.analysis.frames.information import INFORMATION
from ctc_lightning.analysis.frames.trade_off import CLASSIFIER, RUN, SOURCE, measured_targets
from ctc_lightning.evaluation.results import FAILED, NO_EPOCH

log = logging.getLogger(__name__)

UNMEASURED = (
    "has no target measured on test and validation: run `python -m ctc_lightning.transfer {run} "
    "target=…`, or train on data with targets"
)
UNSAID = "no reason was written down"
NO_TARGET = "-"  # of a checkpoint that could not be read
BACKBONES = "backbones"  # the data set's name where there are plain backbones alone


def comparable(frame: pd.DataFrame) -> pd.DataFrame:
    """The numbers that belong in one table: one run for each seed, ends that are alike.

    The variants of a sweep become methods of their own (``ctc_queue, temperature=0.1``). Left out, each with
    a logged warning, are:

    - a run that has neither a target measured on test and validation nor an estimate of information;
    - of two runs with the same configuration and seed the one with fewer epochs, at equal epochs the one
      whose table is older;
    - a run that ended (or still is) before the longest run of its data set and method, and the target of a
      run that was: a mean over different ends would be nobody's final accuracy.

    Plain backbones join every data set that has one of their targets; ``glyphs/hue`` is what a run on glyphs
    calls ``hue``. Failures are no numbers: see `failures`.

    Returns:
        The columns of `ctc_lightning.analysis.load_runs`.

    Raises:
        ValueError: no run is left.
    """
    frame = frame[frame["metric"] != FAILED]
    suffix = frame["variant"].map(lambda variant: f", {variant}" if variant else "")
    name = frame["method"] + suffix
    frame = frame.assign(method=name)
    has_target = frame["path"].isin(frame.loc[measured_targets(frame), "path"])
    informed = frame["path"].isin(frame.loc[frame["metric"] == INFORMATION, "path"])
    frame = _without(frame, ~has_target & ~informed, UNMEASURED)
    trained, plain = frame[~frame["plain"]], frame[frame["plain"]]
    trained = _without(trained, _is_twin(trained), "has a twin of the same configuration and seed")
    longest = trained.groupby(["data", "method"])["epoch"].transform("max")
    last = trained.groupby("path")["epoch"].transform("max")
    trained = _without(trained, last < longest, "ends before the longest run of its method")
    trained = _without_short_curves(trained)
    return pd.concat([trained, *_adopted(plain, trained)], ignore_index=True)


def with_targets(frame: pd.DataFrame) -> pd.DataFrame:
    """The comparable runs that accuracy is reported of: without those that have information alone.

    Empty where no target was measured on test and validation.
    """
    if not (measured := measured_targets(frame)).any():
        return frame.head(0)
    return frame[frame["plain"] | frame["path"].isin(frame.loc[measured, "path"])]


def failures(frame: pd.DataFrame) -> tuple[int, list[str]]:
    """How many measurements failed, and a line for each reason: what, why, how often and where first."""
    failed = frame[frame["metric"] == FAILED].drop_duplicates(["path", "epoch", "protocol", "target"])
    lines = []
    for (protocol, target, note), alike in failed.groupby(["protocol", "target", "note"], sort=False):
        what = protocol if target == NO_TARGET else f"{protocol} on {target}"
        first = alike.iloc[0]
        epoch = "" if first["epoch"] == NO_EPOCH else f", epoch {first['epoch']}"
        often = f"{len(alike)} times, first in" if len(alike) > 1 else "in"
        lines.append(f"{what}: {note or UNSAID} ({often} {first['path']}{epoch})")
    return len(failed), lines


def common_targets(measured: pd.DataFrame) -> list[str]:
    """The targets that every method was measured on: means over targets are over these.

    Args:
        measured: one data set's curves of one protocol, of `ctc_lightning.analysis.curves`; plain backbones
            have no say.
    """
    trained = measured[~measured["plain"] & (measured["target"] != SOURCE)]
    methods = trained.groupby("target", sort=False)["method"].nunique()
    return list(methods.index[methods == trained["method"].nunique()])


def _is_twin(frame: pd.DataFrame) -> pd.Series:
    runs = frame.groupby([*RUN, "path"])["epoch"].max().reset_index()
    runs["written"] = [_written(Path(path)) for path in runs["path"]]
    kept = runs.sort_values(["epoch", "written"], kind="stable").drop_duplicates(RUN, keep="last")["path"]
    return ~frame["path"].isin(kept)


def _written(folder: Path) -> float:
    file = folder / "results.csv"
    return file.stat().st_mtime if file.exists() else 0.0


def _without_short_curves(frame: pd.DataFrame) -> pd.DataFrame:
    """Without the targets of a run that were measured less far than for another seed of its method."""
    probes = frame[frame["protocol"] != CLASSIFIER]
    curve = ["path", "protocol", "target"]
    last = probes.groupby(curve)["epoch"].transform("max")
    short = last < probes.groupby(["data", "method", "protocol", "target"])["epoch"].transform("max")
    for path, protocol, target in probes[short][curve].drop_duplicates().itertuples(index=False):
        log.warning("left out: %s on %s in %s ends before other seeds'", protocol, target, path)
    return frame.drop(index=probes.index[short])


def _adopted(plain: pd.DataFrame, trained: pd.DataFrame) -> list[pd.DataFrame]:
    """Plain backbones under the name of each data set that has a target of theirs."""
    # One backbone measured twice has the same weights: its numbers add up to one run
    number = [*RUN, "protocol", "target", "metric"]
    plain = plain.assign(path=plain.groupby(RUN)["path"].transform("last")).drop_duplicates(
        number, keep="last"
    )
    if trained.empty:
        return [plain.assign(data=BACKBONES)]
    adopted = []
    for data, runs in trained.groupby("data", sort=False):
        named = plain.assign(data=data, target=plain["target"].str.removeprefix(f"{data}/"))
        adopted.append(named[named["target"].isin(set(runs["target"]) - {SOURCE})])
    known = {path for frame in adopted for path in frame["path"]}
    _without(plain, ~plain["path"].isin(known), "shares no target with a run", fatal=False)
    return adopted


def _without(frame: pd.DataFrame, out: pd.Series, reason: str, *, fatal: bool = True) -> pd.DataFrame:
    """The frame without the marked rows, each of their runs named in a warning."""
    said = [
        f"{path} {reason.format(run=shlex.quote(f'run={path}'))}" for path in frame.loc[out, "path"].unique()
    ]
    if fatal and len(frame) and out.all():
        raise ValueError(f"no run to compare: {said[0]}")
    for line in said:
        log.warning("left out: %s", line)
    return frame[~out]
