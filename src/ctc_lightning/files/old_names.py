"""Where classes were before they moved: configurations of older runs name their former modules."""

from typing import Any

# Former module -> where it is now; names are compared up to a dot
MOVED = {
    "ctc_lightning.analysis.log_figures": "ctc_lightning.training.callbacks.log_figures",
    "ctc_lightning.callbacks": "ctc_lightning.training.callbacks",
    "ctc_lightning.checkpoint_io": "ctc_lightning.training.checkpoint_io",
    "ctc_lightning.estimators": "ctc_lightning.information.estimators",
    "ctc_lightning.information.inputs": "ctc_lightning.information.input_view",
    "ctc_lightning.loggers": "ctc_lightning.training.loggers",
    "ctc_lightning.strategy": "ctc_lightning.training.strategy",
}


def with_new_names(config: Any) -> Any:
    """The same configuration (plain values), in which every ``_target_`` has its present name."""
    if isinstance(config, dict):
        return {
            key: new_name(value) if key == "_target_" else with_new_names(value)
            for key, value in config.items()
        }
    return [with_new_names(value) for value in config] if isinstance(config, list | tuple) else config


def new_name(target: str) -> str:
    """The present name of a class; the same where it has not moved."""
    for before, now in MOVED.items():
        if f"{target}.".startswith(f"{before}."):
            return now + target.removeprefix(before)
    return target
