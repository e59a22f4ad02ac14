"""Which runs were trained on the same data set: by the images and classes that they recorded."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ctc_lightning.analysis.frames.variants import Config, data_settings
from ctc_lightning.files.digests import digest_of

log = logging.getLogger(__name__)


class RunData(NamedTuple):
    """What a run recorded of its data.

    Attributes:
        name: ``data.name``; empty for a plain backbone.
        root: the folder's own name, for people; empty without a folder.
        digest: of the images (see `ctc_lightning.data.content_digest`); None where the configuration decides
            them, or where the run is older than this record.
        classes: their names; empty where there are none, or where none were recorded.
        images: images of each split; empty where not recorded.
        settings: digest of the configuration's settings that choose images.
    """

    name: str
    root: str
    digest: str | None
    classes: tuple[str, ...]
    images: tuple[tuple[str, int], ...]
    settings: str


def run_data(config: Config, provenance: Mapping[str, Any]) -> RunData:
    """From the configuration, and the record in ``provenance.json`` or (``images``) with the logged one."""
    record = provenance.get("data") or {}
    logged = config.get("images") or {}
    images = record.get("images") or logged.get("num") or {}
    data = config["data"]
    return RunData(
        str(data["name"] or ""),
        Path(str(data.get("root") or "")).name,
        record.get("digest") or logged.get("digest"),
        tuple(map(str, record.get("classes") or ())),
        tuple(sorted(images.items())),
        digest_of(data_settings(config)),
    )


def data_sets(runs: Mapping[str, RunData]) -> dict[str, str]:
    """A data set's label for each run: ``data.name``, or ``NAME:FOLDER`` where one name means several.

    Runs of one name are on the same data set if their images have the same digest. Without a digest: if they
    have the same classes, and the same number of images wherever the same settings chose them. A run without
    a digest joins the data set with its classes, if there is but one.
    """
    labels: dict[str, str] = {}
    for name in dict.fromkeys(run.name for run in runs.values()):
        paths = [path for path, run in runs.items() if run.name == name]
        groups = _groups({path: runs[path] for path in paths})
        named = _labels(name, [runs[group[0]] for group in groups]) if len(groups) > 1 else [name]
        if len(groups) > 1:
            log.warning("data=%s is several data sets, reported apart: %s", name, ", ".join(named))
        labels |= {path: label for label, group in zip(named, groups, strict=True) for path in group}
    return labels


def _groups(runs: Mapping[str, RunData]) -> list[list[str]]:
    known: dict[str, list[str]] = defaultdict(list)
    unknown: dict[tuple[str, ...], list[str]] = {}
    for path, run in runs.items():
        if run.digest:
            known[run.digest].append(path)
    others = [path for path, run in runs.items() if not run.digest]
    for path in sorted(others, key=lambda path: not runs[path].classes):
        classes = runs[path].classes
        groups = [*known.values(), *unknown.values()]
        alike = [group for group in groups if not classes or runs[group[0]].classes == classes]
        home = alike[0] if len(alike) == 1 else unknown.setdefault(classes, [])
        home.append(path)
    return [part for group in (*known.values(), *unknown.values()) for part in _by_number(group, runs)]


def _by_number(group: Sequence[str], runs: Mapping[str, RunData]) -> list[list[str]]:
    """Apart by the number of images, if the same settings chose different numbers."""
    numbers: dict[str, set[Any]] = defaultdict(set)
    parts: dict[Any, list[str]] = defaultdict(list)
    for path in group:
        if runs[path].images:
            numbers[runs[path].settings].add(runs[path].images)
        parts[runs[path].images].append(path)
    return list(parts.values()) if any(len(found) > 1 for found in numbers.values()) else [list(group)]


def _labels(name: str, firsts: Sequence[RunData]) -> list[str]:
    """The shortest that tell the data sets apart: by folder, by number of images, by digest."""
    plain = [f"{name}:{run.root}" if run.root else name for run in firsts]
    numbers = [dict(run.images).get("train", "unknown number of") for run in firsts]
    counted = [f"{label} ({number} train images)" for label, number in zip(plain, numbers, strict=True)]
    exact = [f"{label} ({run.digest or digest_of(run)})" for label, run in zip(plain, firsts, strict=True)]
    return next(
        labels for labels in (plain, counted, exact) if len({*labels}) == len(labels) or labels is exact
    )
