"""Turn what Hydra, OmegaConf and our constructors raise into one clear sentence."""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException, InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ctc_lightning.paths import config_dir


@contextmanager
def plain_errors(config_name: str) -> Iterator[None]:
    """Print a user's mistake as one sentence and exit with code 2.

    With ``HYDRA_FULL_ERROR=1`` the traceback comes instead.

    Args:
        config_name: of the configuration that was to be composed, for suggestions.
    """
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        yield
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing
    try:
        yield
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        sys.stderr.write(f"error: {explain(error, config_name, sys.argv[1:])}\n")
        sys.exit(2)
    finally:
        del os.environ["HYDRA_FULL_ERROR"]


def explain(error: BaseException, config_name: str, overrides: Iterable[str] = ()) -> str:
    """One sentence for one error.

    Args:
        error: what was raised.
        config_name: the configuration's name.
        overrides: the command line, to look for the nearest right key.
    """
    if isinstance(error, InstantiationException):
        return _explain_instantiation(error)
    text = str(error)
    if match := re.search(r"Could not find '(?P<group>[^']+)/(?P<choice>[^'/]+)'", text):
        options = re.findall(r"^\t(\S+)", text, flags=re.MULTILINE)
        return f"{match['group']}={match['choice']} does not exist; {_nearest(match['choice'], options)}"
    if match := re.search(r"Could not override '(?P<key>[^']+)'|'(?P<other>[^']+)' is not in struct", text):
        key = match["key"] or match["other"]
        return (
            f"there is no {key} in this configuration; {_nearest(key, _known_keys(config_name, overrides))}"
        )
    if isinstance(error, ConfigCompositionException | OmegaConfBaseException | HydraException):
        return " ".join(text.split())
    return text


def _explain_instantiation(error: InstantiationException) -> str:
    """The constructor's own sentence, and where in the configuration it stands."""
    key = re.search(r"full_key: (\S+)", str(error))
    where = f" (in {key[1]})" if key else ""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return f"{' '.join(str(cause).split())}{where}"


def _nearest(word: str, options: Iterable[str]) -> str:
    options = sorted(set(options))
    close = get_close_matches(word, options, n=3, cutoff=0.5)
    if not close:  # a misspelt parent hides its children: compare last words
        close = [o for o in options if o.rsplit(".", 1)[-1] == word.rsplit(".", 1)[-1]][:3]
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"choose one of {', '.join(options)}." if len(options) <= 30 else "see --help."


def _known_keys(config_name: str, overrides: Iterable[str]) -> list[str]:
    """Dotted keys of the configuration, composed with as much of the command line as composes."""
    chosen = [o for o in overrides if re.match(r"(experiment|model|data|network|optim|trainer)=[^,]*$", o)]
    for attempt in (chosen, []):
        GlobalHydra.instance().clear()
        try:
            with initialize_config_dir(str(config_dir()), version_base="1.3"):
                cfg: Any = OmegaConf.to_container(compose(config_name, overrides=attempt))
                return list(_keys(cfg))
        except (HydraException, OmegaConfBaseException):
            continue
    return []


def _keys(cfg: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, node in cfg.items():
        yield f"{prefix}{key}"
        if isinstance(node, dict):
            yield from _keys(node, f"{prefix}{key}.")


def refuse_unused(cfg: DictConfig, overrides: Iterable[str]) -> None:
    """Refuse a ``model.NAME=value`` on the command line that no part of this model reads.

    That happens when a part is swapped away: ``memory@model.stages.contrast.memory=bank`` no longer reads
    ``model.queue_size``.

    Raises:
        ValueError: names the option and the parts in use.
    """
    text = OmegaConf.to_yaml(cfg, resolve=False)
    for override in overrides:
        match = re.match(r"\+{0,2}model\.(\w+)=", override)
        if match and match[1] not in ("stages", "name") and f"${{model.{match[1]}}}" not in text:
            targets = sorted(
                set(re.findall(r"_target_: ctc_lightning\.(?:key_encoder|memory|contrast)\.(\w+)", text))
            )
            raise ValueError(
                f"{override}: no part of this model reads model.{match[1]} (it has {', '.join(targets)}); "
                "leave it out, or choose the part that uses it."
            )
