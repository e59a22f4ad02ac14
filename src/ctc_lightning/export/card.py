"""The model card: ``README.md`` beside the weights."""

from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import Any

import yaml

from ctc_lightning import __version__
from ctc_lightning.evaluation.results import Row
from ctc_lightning.evaluation.run_checkpoints import Snapshot
from ctc_lightning.export.record import figures, provenance, published_config
from ctc_lightning.export.trained import Trained
from ctc_lightning.files.git_commit import git_commit

_SHOWN = 20  # classes that are not folded away


def model_card(
    trained: Trained, *, library: str, loading: str, files: Sequence[str], license_id: str | None
) -> str:
    """Markdown that says what the network is, how to load it, how it came about and what it can do.

    Args:
        trained: the network.
        library: what loads it.
        loading: Python code that loads it.
        files: names of those beside the card.
        license_id: an identifier as the Hugging Face Hub has them; None: not chosen.
    """
    path, config = trained.snapshot.path, trained.snapshot.config
    sections = [
        _front_matter(trained, library, license_id),
        _head(trained, files),
        f"## Load\n\n```python\n{loading}\n```",
        _input(trained),
        _classes(trained),
        _figures(figures(path, trained.snapshot.epoch), trained),
        _training(trained, provenance(path)),
        f"```yaml\n{_yaml(published_config(config))}\n```",
        _license(trained, license_id),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _front_matter(trained: Trained, library: str, license_id: str | None) -> str:
    task = "image-classification" if trained.classifier is not None else "image-feature-extraction"
    head = {
        "library_name": library,
        "tags": [task, "transfer-learning", "contrastive-temporal-coding"],
        **({"license": license_id} if license_id else {}),
    }
    return f"---\n{_yaml(head)}\n---"


def _yaml(values: dict[str, Any]) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True).strip()


def _head(trained: Trained, files: Sequence[str]) -> str:
    config = trained.snapshot.config
    what = f"{trained.num_features} features"
    what += (
        f" and a classifier of {trained.num_classes} classes"
        if trained.classifier is not None
        else ", no classifier"
    )
    return (
        f"# {trained.title}, {config.get('method', 'unknown method')}, {config['data']['name']}\n\n"
        f"A backbone of {what}, trained by ctc_lightning (Contrastive Temporal Coding, arXiv 2203.03871) and "
        f"exported from `{trained.snapshot.path.name}`. Files: {', '.join(f'`{name}`' for name in files)}."
    )


def _input(trained: Trained) -> str:
    fit = trained.fit
    shorter = int(fit.size / fit.share)
    shape = " × ".join(map(str, trained.input.shape))
    numbers = {"mean": trained.input.mean, "standard deviation": trained.input.std}
    lines = [
        f"- {shape} (channels, rows, columns), float32: pixels in [0, 1], less the mean, over the deviation.",
        f"- Shorter side to {shorter} pixels, {fit.interpolation}, antialiased; then the central square.",
        *(f"- {name}: {', '.join(f'{value:.6g}' for value in values)}." for name, values in numbers.items()),
    ]
    return "## Input\n\n" + "\n".join(lines)


def _classes(trained: Trained) -> str:
    config = trained.snapshot.config["data"]
    label = config.get("source_label")
    about = f"Trained on `{config['name']}`" + (f", label `{label}`" if label else "") + "."
    if not trained.classes:
        return f"## Data\n\n{about}"
    names = ", ".join(f"{number} {name}" for number, name in enumerate(trained.classes))
    if len(trained.classes) > _SHOWN:
        names = f"<details><summary>{len(trained.classes)} classes</summary>\n\n{names}\n\n</details>"
    return f"## Data\n\n{about} Classes, in the order of the classifier:\n\n{names}"


def _figures(rows: Sequence[Row], trained: Trained) -> str:
    when = trained.snapshot.when
    if trained.snapshot.within_epoch:
        return f"## Figures\n\nNone: they are of whole epochs, and this is {when}."
    if not rows:
        return (
            f"## Figures\n\nNone were measured at {when}; "
            "`python -m ctc_lightning.transfer checkpoint=FILE.ckpt target=…` measures them."
        )
    lines = ["| target | protocol | metric | value | 95 % interval | images |", "|---|---|---|---|---|---|"]
    for row in rows:
        interval = "" if isnan(row.low) else f"{row.low:.4f}–{row.high:.4f}"
        cells = (row.target, row.protocol, row.metric, f"{row.value:.4f}", interval, row.n or "")
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return f"## Figures\n\nOn test images, at {when}.\n\n" + "\n".join(lines)


def _training(trained: Trained, run: dict[str, Any]) -> str:
    config = trained.snapshot.config
    versions = {**run.get("versions", {}), "python": run.get("python")}
    epochs = (config.get("trainer") or {}).get("max_epochs", "an unknown number of")
    images = (run.get("data") or {}).get("images") or {}
    facts = {
        "Method": f"{config.get('method', 'unknown')}, seed {config.get('seed', 'unknown')}",
        "Length": f"{_length(trained.snapshot)} of {epochs}, {trained.snapshot.step} optimizer steps",
        "Images": ", ".join(f"{split} {number}" for split, number in images.items()) or "not recorded",
        "Commit": run.get("commit") or "not recorded",
        "Hardware": run.get("hardware") or "not recorded",
        "Versions": ", ".join(f"{name} {version}" for name, version in versions.items() if version)
        or "not recorded",
        "Exported by": f"ctc-lightning {__version__}, commit {git_commit() or 'not recorded'}",
    }
    return (
        "## Training\n\n" + "\n".join(f"- {name}: {fact}." for name, fact in facts.items()) + "\n\nSettings:"
    )


def _length(snapshot: Snapshot) -> str:
    return f"within epoch {snapshot.epoch + 1}" if snapshot.within_epoch else f"epoch {snapshot.epoch}"


def _license(trained: Trained, license_id: str | None) -> str:
    data = trained.snapshot.config["data"]["name"]
    begun = trained.snapshot.config["network"].get("pretrained")
    sources = f"the terms of `{data}`" + (
        f" and of the weights it began with (`{_name(begun)}`)" if begun else ""
    )
    chosen = (
        f"{license_id}." if license_id else "None has been chosen: name one before you publish the weights."
    )
    return f"## Licence\n\n{chosen} Consider {sources}; ctc_lightning's own code is under Apache-2.0."


def _name(begun: object) -> str:
    return "published" if begun is True else Path(str(begun)).name
