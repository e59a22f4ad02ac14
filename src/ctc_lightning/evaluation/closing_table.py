"""What an evaluation tells the terminal."""

from collections.abc import Mapping, Sequence
from math import isnan

from ctc_lightning.evaluation.measurement import CLASSIFIER, headlines
from ctc_lightning.evaluation.protocol import Protocol
from ctc_lightning.evaluation.results import FAILED, Row, target_names
from ctc_lightning.evaluation.sources import EvaluationSource, When


def progress_line(subject: EvaluationSource, when: When, rows: Sequence[Row]) -> str:
    """One line on what was measured at one moment, in per cent under the first protocol."""
    first = next((row.protocol for row in rows if row.protocol != CLASSIFIER), CLASSIFIER)
    # The source by its own classifier only where the protocol has not measured it
    shown = {row.target: 100 * row.value for row in headlines(rows) if row.protocol in (CLASSIFIER, first)}
    spent = {(row.protocol, row.target): row.seconds for row in rows if not isnan(row.seconds)}
    where = f"{subject.method}, seed {subject.seed}, epoch {when[0]}/{subject.last_epoch}"
    scores = ", ".join(f"{target} {score:.1f}" for target, score in shown.items())
    numbers = f"{first}: {scores}" if shown else f"{len(rows)} rows of {first}"
    return f"{where}: {numbers} ({sum(spent.values()):.1f} s)"


def closing_table(subject: EvaluationSource, protocols: Mapping[str, Protocol]) -> str:
    """The last moment's numbers, a line for each protocol and target, and where all of them are."""
    rows = [
        row
        for row in subject.table.rows()
        if row.protocol in (*protocols, CLASSIFIER) and row.metric != FAILED
    ]
    if not rows:
        return f"{subject.folder}: nothing was measured."
    last = max(row.epoch for row in rows)
    rows = [row for row in rows if row.epoch == last]
    own = headlines(rows)
    name = target_names(rows)
    judged = {(row.protocol, row.target) for row in own}
    cells = [("target", "protocol", "metric", "value", "95 % interval", "chosen")]
    for row in rows:
        # few-shot has no validation, but intervals; scores and geometry, which have neither, are too many
        if row in own or ((row.protocol, row.target) not in judged and not isnan(row.low)):
            interval = f"{row.low:.4f}–{row.high:.4f}"
            target = name[row.target, row.images]
            cells.append((target, row.protocol, row.metric, f"{row.value:.4f}", interval, row.chosen))
    if len(cells) == 1:
        return f"\n{subject.method}, seed {subject.seed}: all numbers are in {subject.table.path}"
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
    head = f"{subject.method}, seed {subject.seed}, epoch {last}"
    return "\n".join(["", head, *lines, f"All numbers: {subject.table.path}"])
