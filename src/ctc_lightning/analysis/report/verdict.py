"""The summary in plain words: what each method keeps or loses, what CTC gains over CE, and what it costs."""

from math import hypot, isnan
from statistics import fmean
from typing import Any

import pandas as pd

from ctc_lightning.analysis.figures.highlight import highlighted
from ctc_lightning.analysis.frames.methods import is_baseline, label
from ctc_lightning.analysis.frames.trade_off import CLASSIFIER, HEADLINE, SOURCE, before_learning
from ctc_lightning.analysis.report.table import percent, row_label

ONE_SEED = 0.01  # without a spread over seeds, less than a point proves nothing
VISIBLE = 0.0005  # a smaller difference prints as 0.0

Rows = dict[str, Any]  # one method's summary rows by target, the source among them


def verdict(summary: pd.DataFrame, protocol: str = HEADLINE) -> str:
    """One data set's findings in both directions: a list in Markdown, an item for each method.

    A difference d counts when |d| > 2 std: the sample standard deviation over seeds of d itself for a drop,
    hypot(std₁, std₂) between two methods; for one seed, when |d| exceeds one point. A CTC method meets, on
    the source and on each target, the cross-entropy run that is best there at the end.

    Args:
        summary: one data set's rows of `ctc_lightning.analysis.summary`; of too many methods for an eye the
            highlighted ones are judged, plain backbones are not.
        protocol: the probe whose numbers are judged.
    """
    shown = highlighted(summary, protocol)
    summary = summary[summary["method"].isin(shown) & ~summary["plain"]]
    rows_of: dict[tuple[str, str], Rows] = {}
    for row in summary[summary["protocol"].isin([protocol, CLASSIFIER])].itertuples():
        rows_of.setdefault((str(row.method), str(row.stopped)), {})[str(row.target)] = row
    methods = [method for method in shown if _probes(rows_of.get((method, "at the end"), {}))]
    baselines = [rows_of[method, "at the end"] for method in methods if is_baseline(method)]
    one_seed = summary["n"].min() == 1
    same = "within one point" if one_seed else "no difference beyond the seeds' spread"
    hasty = before_learning(summary[summary["protocol"].isin([protocol, CLASSIFIER])])
    lines = []
    for method in methods:
        end, early = rows_of[method, "at the end"], rows_of.get((method, "early"))
        lines.append(f"- {label(method)} {_memory(end)}.")
        if baselines and not is_baseline(method):
            lines.append(f"  - {_gain(end, baselines, same)}.")
            lines.append(f"  - At the end {_both(end)}{_cost(end, baselines, same)}.")
        if early:
            stopped = row_label(next(iter(early.values())))
            lines.append(
                f"  - At the end {_both(end)}. {stopped}: {_both(early)}{_hardly(early, method in hasty)}."
            )
    limit = "one point: one seed tells no spread" if one_seed else "twice the standard deviation over seeds"
    return "\n".join([*lines, f"- Differences count beyond {limit}."])


def _memory(end: Rows) -> str:
    """What is left at the end of what was there at the peak."""
    probes = _probes(end)
    lost = {
        name: row
        for name, row in probes.items()
        if row.drop_mean > 0 and _counts(row.drop_mean, row.drop_std)
    }
    falls = [f"{name} ({percent(row.peak_mean)} → {percent(row.final_mean)})" for name, row in lost.items()]
    return _listed({"loses": falls, "keeps": [name for name in probes if name not in lost]})


def _gain(end: Rows, baselines: list[Rows], same: str) -> str:
    """Transfer at the end, target by target, against the best baseline's."""
    findings: dict[str, list[str]] = {"higher on": [], "lower on": [], f"{same} on": []}
    for name, row in _probes(end).items():
        if rivals := [rows[name] for rows in baselines if name in rows]:
            difference, counts = _difference(row, rivals)
            verb = "higher on" if difference > 0 else "lower on"
            findings[verb if counts else f"{same} on"].append(
                f"{name} ({percent(difference, sign=True)})" if counts else name
            )
    return f"Transfer against CE's best on each target: {_listed(findings) or 'none in common'}"


def _cost(end: Rows, baselines: list[Rows], same: str) -> str:
    """Source accuracy at the end, against the best baseline's; nothing where it was not measured."""
    rivals = [rows[SOURCE] for rows in baselines if SOURCE in rows]
    if SOURCE not in end or not rivals:
        return ""
    difference, counts = _difference(end[SOURCE], rivals)
    verb = "gained" if difference > 0 else "lost"
    found = f"{percent(abs(difference))} points {verb}" if counts else same
    return f"; source accuracy against CE's best: {found}"


def _both(rows: Rows) -> str:
    transfer = fmean(row.final_mean for row in _probes(rows).values())
    source = f", source {percent(rows[SOURCE].final_mean)}" if SOURCE in rows else ""
    return f"mean transfer {percent(transfer)}{source}"


def _hardly(early: Rows, hasty: bool) -> str:
    """The caveat of a stop at which the network is almost untrained."""
    if not hasty:
        return ""
    start = percent(early[SOURCE].start_mean)
    return f", where the network has hardly learnt its own task (source {start} at the first measured epoch)"


def _difference(row: Any, rivals: list[Any]) -> tuple[float, bool]:
    """Final accuracy over the best rival's, and whether that counts."""
    rival = max(rivals, key=lambda rival: rival.final_mean)
    difference = row.final_mean - rival.final_mean
    return difference, _counts(difference, row.final_std, rival.final_std)


def _counts(difference: float, *stds: float) -> bool:
    limit = ONE_SEED if any(map(isnan, stds)) else max(2 * hypot(*stds), VISIBLE)
    return abs(difference) > limit


def _probes(rows: Rows) -> Rows:
    return {target: row for target, row in rows.items() if target != SOURCE}


def _listed(findings: dict[str, list[str]]) -> str:
    return "; ".join(f"{verb} {', '.join(names)}" for verb, names in findings.items() if names)
