"""Turn what Hydra, OmegaConf and our constructors raise into one clear sentence."""

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException, OverrideParseException
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.cli.interrupt import FINISHED, plain_interrupt
from ctc_lightning.cli.option_types import parameters
from ctc_lightning.cli.overrides import literal, quoted
from ctc_lightning.files.atomic_write import RERUN, WriteError

# Further ranks inherit what rank 0 sets below
_WANTS_TRACEBACKS = os.environ.get("HYDRA_FULL_ERROR") == "1" and "LOCAL_RANK" not in os.environ
_NO_CHOICE = re.compile(r"Could not (?:find|load) '(?P<group>[^']+)/(?P<choice>[^'/]+)'")
_NO_FILE = "Config group override must be a string or a list"
_SEVERAL = re.compile(r"Ambiguous value for argument '(?P<key>[^=]+)=(?P<values>.*)' 1\. ")
_MISSING = re.compile(r"Missing mandatory value: (\S+)")
_NO_KEY = re.compile(
    r"Could not override '(.+?)'|Could not delete from config. '(.+?)'|'(.+?)' is not in struct"
    r"|Override (.+?)=.* looks like a config group"
)


def users_mistakes() -> tuple[type[BaseException], ...]:
    """What is reported in one line; Lightning's, if it has been imported."""
    lightning: Any = sys.modules.get("pytorch_lightning.utilities.exceptions")
    mistakes = (HydraException, OmegaConfBaseException, ValueError, OSError)
    return (*mistakes, lightning.MisconfigurationException) if lightning else mistakes


@contextmanager
def plain_errors(config_name: str) -> Iterator[None]:
    """Print a user's mistake as one sentence and exit with code 2.

    A user who sets ``HYDRA_FULL_ERROR=1`` gets the traceback instead.

    Args:
        config_name: of the configuration that was to be composed, for suggestions.
    """
    if _WANTS_TRACEBACKS:
        yield
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing
    try:
        yield
    except users_mistakes() as error:
        sys.stderr.write(f"error: {explain(error, config_name, sys.argv[1:])}\n")
        sys.exit(2)


def launch(program: Callable[[], Any], config_name: str, kept: str = FINISHED) -> None:
    """Run a Hydra program on the command line; a user's mistake is one line and exit code 2.

    Args:
        program: reads ``sys.argv``.
        config_name: of its configuration.
        kept: see `plain_interrupt`.
    """
    sys.argv[1:] = literal(sys.argv[1:])
    with plain_interrupt(kept), plain_errors(config_name):
        program()


def explain(error: BaseException, config_name: str, overrides: Iterable[str] = ()) -> str:
    """One sentence for one error.

    Args:
        error: what was raised.
        config_name: the configuration's name.
        overrides: the command line, to look for the nearest right key.
    """
    text = " ".join(str(error).split())
    if isinstance(error, InstantiationException):
        return _explain_instantiation(error)
    if sentence := _explain_syntax(error, text, overrides):
        return sentence
    if match := _NO_KEY.search(text):
        key = match[match.lastindex or 0]
        keys, choices = _known(config_name, [o for o in overrides if key not in o])
        group = re.split(r"[.@/]", key)[0]
        where = f"with {group}={choices[group]}" if choices.get(group) else "in this configuration"
        return f"there is no {key} {where}; {nearest(key, [*keys, *choices])}leave it out, or see --help."
    if match := _MISSING.search(text):
        return f"{match[1]} has no value; give it one, for example on the command line: {match[1]}=VALUE."
    if isinstance(error, OSError) and error.filename is None:  # of a library that does not name the path
        folder = HydraConfig.get().runtime.output_dir if HydraConfig.initialized() else "."
        return str(WriteError.of(error, Path(folder), RERUN) or text)
    return _with_place(text, text)


def _explain_syntax(error: BaseException, text: str, overrides: Iterable[str]) -> str | None:
    """What Hydra cannot read, reads as several values, or takes for a group without that file."""
    if isinstance(error, OverrideParseException):
        key, _, value = error.override.partition("=")
        fault = str(error).partition("\n")[0].strip()
        quote = _in_a_shell(f"{key}={quoted(value)}")
        return f"{error.override} cannot be read ({fault}); if the value is text, quote it: {quote}."
    if match := _SEVERAL.search(text):
        key, values = match["key"], match["values"]
        one = _in_a_shell(f"{key}={quoted(values)}")
        return f"{key} has several values; for text write {one}, for a list {key}=[{values}], for a sweep -m."
    if match := _NO_CHOICE.search(text):
        there = re.findall(r"^\t(?!provider=)(\S+)", str(error), flags=re.MULTILINE)
        there = there or _choices(match["group"])
        there_is = nearest(match["choice"], there)
        return (
            f"{match['group']}={match['choice']} does not exist; {there_is}choose one of {', '.join(there)}."
        )
    if text.startswith(_NO_FILE):
        for override in overrides:
            key, _, value = override.lstrip("+").partition("=")
            if value in ("null", "") and (there := _choices(key.partition("@")[0])):
                files = ", ".join(f"{key}={name}" for name in there)
                return f"{override}: the group needs a file; choose one of {files}."
    return None


def _choices(group: str) -> list[str]:
    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


def _in_a_shell(argument: str) -> str:
    return shlex.quote(argument) if re.search(r'["$`!\\]', argument) else f'"{argument}"'


def _explain_instantiation(error: InstantiationException) -> str:
    """The constructor's own sentence, and where in the configuration it stands."""
    text = str(error)
    quoted = re.search(
        r"""Error\((['"])(.*)\1\)""", text
    )  # all that comes back from a sweep's other processes
    cause = error.__cause__ or (quoted[2] if quoted else text)
    sentence = " ".join(str(cause).split())
    target = re.search(r"target '(\S+)'", text)
    if target and (word := re.search(r"unexpected keyword argument '(\w+)'", sentence)):
        close = nearest(word[1], parameters(get_object(target[1])))
        sentence = f"{target[1]} does not take {word[1]}; {close}leave it out."
    elif "No supported gpu backend" in sentence:  # Lightning's
        sentence = "trainer.accelerator is gpu, and torch sees no GPU; take trainer=cpu or ddp_sim"
    elif isinstance(cause, TypeError):
        sentence = f"a value is of the wrong type: {sentence}"
    return _with_place(sentence, text)


def _with_place(sentence: str, text: str) -> str:
    """Add the key that ``text`` names in OmegaConf's manner."""
    key = re.search(r"full_key: (\S+)", text)
    return f"{sentence.partition(' full_key: ')[0].rstrip('.')} (in {key[1]})." if key else sentence


def nearest(word: str, options: Iterable[str]) -> str:
    """``did you mean …? Else `` or nothing."""
    options = sorted(set(options) - {word})
    close = get_close_matches(word, options, n=2, cutoff=0.7)
    if not close:  # under a wrong parent: compare last words
        close = [o for o in options if o.rsplit(".", 1)[-1] == word.rsplit(".", 1)[-1]][:2]
    return f"did you mean {' or '.join(close)}? Else " if close else ""


def _known(config_name: str, overrides: Iterable[str]) -> tuple[list[str], dict[str, Any]]:
    """Dotted keys and chosen groups, composed with as much of the command line as composes."""
    chosen = [o for o in overrides if re.match(r"[\w/]+(@[\w.]+)?=[^,]*$|hydra.searchpath=", o)]
    for attempt in (chosen, []):
        GlobalHydra.instance().clear()
        try:
            with initialize_config_dir(str(config_dir()), version_base="1.3"):
                cfg = compose(config_name, attempt, return_hydra_config=True)
        except (HydraException, OmegaConfBaseException):
            continue
        plain: Any = OmegaConf.to_container(cfg)
        return list(_keys(plain)), plain["hydra"]["runtime"]["choices"]
    return [], {}


def _keys(cfg: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, node in cfg.items():
        yield f"{prefix}{key}"
        if isinstance(node, dict):
            yield from _keys(node, f"{prefix}{key}.")


def refuse_unused(cfg: DictConfig, overrides: Iterable[str]) -> None:
    """Refuse a part that the model sets to null, and a ``model.NAME`` that no part of it reads.

    The latter happens when a part is swapped away (``memory@model.stages.contrast.memory=bank`` no longer
    reads ``model.queue_size``), or when an experiment's options outlive its model
    (``experiment=digits_ctc_queue model=ce``).

    Args:
        cfg: the composed configuration.
        overrides: the command line. What ``conf/model/NAME.yaml`` itself sets is nobody's wish.

    Raises:
        ValueError: names the option and the parts in use.
    """
    for override in overrides:
        match = re.match(r"\+?[\w/]+@([\w.]+)=", override)
        if match and OmegaConf.select(cfg, match[1]) is None:
            raise ValueError(
                f"{override}: model={cfg.model.name} has {match[1]}=null and would ignore it; leave it out."
            )
    text = OmegaConf.to_yaml(cfg, resolve=False)
    own_file = config_dir() / "model" / f"{cfg.model.name}.yaml"
    own = OmegaConf.load(own_file).model if own_file.is_file() else cfg.model
    wished = {match[1] for override in overrides if (match := re.match(r"\+{0,2}model\.(\w+)=", override))}
    for name in cfg.model:
        if name in ("stages", "name") or f"${{model.{name}}}" in text or (name in own and name not in wished):
            continue
        parts = sorted(
            set(re.findall(r"_target_: ctc_lightning\.(?:key_encoder|memory|contrast)\.(\w+)", text))
        )
        raise ValueError(
            f"model.{name}={cfg.model[name]}: no part of model={cfg.model.name} reads it (it has "
            f"{', '.join(parts) or 'no contrast'}); leave it out, or choose the part that uses it."
        )
