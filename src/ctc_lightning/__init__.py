"""Contrastive Temporal Coding: train classifiers that stay transferable, and see the trade-off.

The public names; each is imported from its module when it is first used, so that importing the package costs
nothing.
"""

import sys
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_started = sys.argv[0] if getattr(sys, "argv", None) else ""
if "/ctc-" in _started or (_started == "-m" and "ctc_lightning." in " ".join(sys.orig_argv)):
    import_module("ctc_lightning.cli.interrupt").end_on_interrupt()  # it is a program that starts

_MODULES = {
    "batch": ("Batch", "EvenBatch", "Prediction"),
    "contrast": ("NCE", "Contrast", "InfoNCE"),
    "data": (
        "CachedDataModule",
        "Digits",
        "FileDataModule",
        "Glyphs",
        "ImageDataModule",
        "InMemoryDataModule",
        "IndexedDataset",
    ),
    "data.by_name": ("load_data",),
    "key_encoder": ("FrozenEncoder", "KeyEncoder", "MomentumEncoder", "QueryEncoder"),
    "memory": ("BatchMemory", "KeyQueue", "Keys", "Memory", "MemoryBank", "TwinBank"),
    "metrics.classifier_scores": ("ClassifierScores",),
    "module": ("CTCModule",),
    "networks": ("LinearProjector", "MLPProjector", "Network", "create_backbone", "create_network"),
    "optim": ("Constant", "Cosine", "LinearWarmupCosine", "Schedule"),
    "prediction.predict": ("predict",),
    "transfer_table": ("evaluate",),
    "stage": ("Stage", "StageSchedule"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = ["__version__", *_MODULE_OF]  # noqa: PLE0604  # all are text


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
