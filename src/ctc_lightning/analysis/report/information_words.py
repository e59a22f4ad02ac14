"""The information in plain words: whether it falls for cross-entropy, and whether CTC keeps it."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from ctc_lightning.analysis.frames.information import Setting, of_setting
from ctc_lightning.analysis.frames.information_change import falls
from ctc_lightning.analysis.frames.information_flags import bearers
from ctc_lightning.analysis.frames.methods import is_baseline, label
from ctc_lightning.analysis.frames.trade_off import SOURCE
from ctc_lightning.analysis.report.information_table import (
    DECIMALS,
    change,
    difference,
    interval,
    number,
    peak_epochs,
)

NO_DIFFERENCE = "no difference beyond the seeds' spread"
NO_FALL = "no fall was measured"
ONE_SEED = "one seed has no interval, so that no fall can be claimed"
RULE = (
    "A fall counts where the 95 % t-interval over seeds of the change from peak to end lies below 0, a "
    "difference where that of the paired differences does not hold 0; each interval stands for itself. A "
    "seed's peak is chosen on the other seeds, so that the luck of a maximum is no fall; the untrained "
    "network's value is no peak. No fall measured is not a proof that there is none. At most: the "
    "estimator's upper bound at the end; a fall that its two bounds leave no doubt of ends with an upper "
    "bound below the peak."
)


def information_words(summary: pd.DataFrame, settings: Iterable[Setting]) -> str:
    """A list in Markdown: of I(X;T) an item for each image set, of I(T;Y) one with all labels.

    Args:
        summary: one data set's rows of `ctc_lightning.analysis.information_summary`; plain backbones are not
            judged.
        settings: of which.
    """
    lines = []
    for setting in settings:
        rows = of_setting(summary, setting)
        rows = rows[~rows["plain"]]
        if setting.quantity == "xt":
            for target in sorted(rows["target"].unique(), key=lambda target: target != SOURCE):
                lines += _image_set(rows[rows["target"] == target], f"{setting.title} on {target}")
        elif len(rows):
            lines += _labels(rows, setting.title)
    return "\n".join([*lines, f"- {RULE}"]) if lines else ""


def _image_set(rows: pd.DataFrame, title: str) -> list[str]:
    """What the claim says of I(X;T), then each method's numbers, then the flags."""
    of: dict[str, Any] = {str(row.method): row for row in rows.itertuples()}
    decimals = DECIMALS["xt"]
    flagged = any(row.peak_note or row.end_note for row in of.values())
    lines = [f"- {title}: {_claim(of)}{'; some of these numbers are flagged' if flagged else ''}."]
    for method, row in of.items():
        moved = f"{number(row.peak_mean, decimals)} at {peak_epochs(row)} → {number(row.end_mean, decimals)}"
        bound = "" if pd.isna(row.upper_mean) else f", at most {number(row.upper_mean, decimals)} there"
        found = f"{_fell(row)}, {moved} at epoch {row.end_epoch} ({change(row, decimals)}{bound})"
        lines.append(f"  - {label(method)}: {found}{_compared(row, of, decimals)}.")
    return [*lines, *_flagged(rows)]


def _claim(of: dict[str, Any]) -> str:
    """Whether it falls for the cross-entropy run that the others are compared with, and who keeps it."""
    if all(pd.isna(row.change_low) for row in of.values()):
        return ONE_SEED
    fallen = [method for method, row in of.items() if falls(row)]
    bases = [method for method in of if is_baseline(method)]
    if not bases:
        return f"falls for {_names(fallen)}" if fallen else f"{NO_FALL} for any method"
    base, others = bases[0], [method for method in of if not is_baseline(method)]
    also = [method for method in fallen if method != base]
    if base not in fallen:
        unknown = f" ({ONE_SEED})" if pd.isna(of[base].change_low) else ""
        return f"{NO_FALL} for {label(base)}{unknown}" + (f"; falls for {_names(also)}" if also else "")
    above = [method for method in others if of[method].difference_low > 0]
    kept = [method for method in above if method not in fallen]
    less = [method for method in above if method in fallen]
    parts = [f"falls for {_names([base, *also])}"]
    if kept:
        parts.append(f"kept by {_names(kept)} ({NO_FALL}, and the end is above {label(base)}'s)")
    elif others:
        parts.append("kept by no other method")
    if less:
        parts.append(f"above {label(base)}'s at the end, though it falls, for {_names(less)}")
    return "; ".join(parts)


def _fell(row: Any) -> str:
    return "one seed" if pd.isna(row.change_low) else "falls" if falls(row) else NO_FALL


def _compared(row: Any, of: dict[str, Any], decimals: int) -> str:
    if not row.against:
        return ""
    base = of[row.against]
    other = f" (there at epoch {base.end_epoch})" if base.end_epoch != row.end_epoch else ""
    where = f"; against {label(row.against)} at the end{other} {difference(row, decimals)}"
    sure = row.difference_low > 0 or row.difference_high < 0
    return where if sure or pd.isna(row.difference_low) else f"{where}, {NO_DIFFERENCE}"


def _labels(rows: pd.DataFrame, title: str) -> list[str]:
    """Of every method, on which labels it falls and how its ends compare."""
    decimals = DECIMALS["ty"]
    lines = [f"- {title}, Y the target's label:"]
    for method in dict.fromkeys(rows["method"]):
        of = list(rows[rows["method"] == method].itertuples())
        fallen = [
            f"{row.target} ({number(row.peak_mean, decimals)} → {number(row.end_mean, decimals)})"
            for row in of
            if falls(row)
        ]
        unknown = [str(row.target) for row in of if pd.isna(row.change_low)]
        rest = [str(row.target) for row in of if not falls(row) and not pd.isna(row.change_low)]
        found = {"falls on": fallen, f"{NO_FALL} on": rest, f"{ONE_SEED}:": unknown}
        lines.append(f"  - {label(str(method))}: {_listed(found)}{_ends(of, decimals)}.")
    return [*lines, *_flagged(rows)]


def _ends(of: list[Any], decimals: int) -> str:
    judged = [row for row in of if row.against and not pd.isna(row.difference_low)]
    if not judged:
        return ""
    found: dict[str, list[str]] = {"above on": [], "below on": [], f"{NO_DIFFERENCE} on": []}
    for row in judged:
        sure = row.difference_low > 0 or row.difference_high < 0
        verb = "above on" if row.difference_low > 0 else "below on"
        text = number(row.difference_mean, decimals, sign=True) + interval(
            row.difference_low, row.difference_high, decimals
        )
        if sure:
            found[verb].append(f"{row.target} ({text})")
        else:
            found[f"{NO_DIFFERENCE} on"].append(str(row.target))
    return f"; at the end against {label(judged[0].against)} {_listed(found)}"


def _flagged(rows: pd.DataFrame) -> list[str]:
    """Each flag with the numbers that have it, at the peak or at the end."""
    noted = [
        (str(note), (label(str(row.method)), str(row.target)))
        for row in rows.itertuples()
        for note in (row.peak_note, row.end_note)
    ]
    lines = []
    for flag, of in bearers(noted).items():
        targets: dict[str, list[str]] = {}
        for method, target in dict.fromkeys(of):
            targets.setdefault(method, []).append(target)
        where = "; ".join(f"{method} on {', '.join(names)}" for method, names in targets.items())
        lines.append(f"  - Flagged, {flag}: {where}.")
    return lines


def _names(methods: list[str]) -> str:
    return " and ".join(label(method) for method in methods)  # labels have commas of their own


def _listed(findings: dict[str, list[str]]) -> str:
    return "; ".join(f"{verb} {', '.join(names)}" for verb, names in findings.items() if names)
