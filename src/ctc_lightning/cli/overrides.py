"""Command-line arguments in Hydra's grammar: paths are taken literally, text is quoted where it must be."""

import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

_ARGUMENT = re.compile(r"(?P<key>\+{0,2}[\w.]+)=(?P<value>.*)", flags=re.DOTALL)
_PATHS = re.compile(
    r"paths\.\w+|resume|checkpoint|output|hydra\.(run|sweep)\.dir"
    r"|([\w.]+\.)?(root|cache_dir|shard_cache|run_dir|dirpath|default_root_dir|pretrained|class_list)"
)
_PATH_OR_LIST = "run"
_GRAMMAR = re.compile(r"""[()\[\]{},'"]""")  # text with one of these may be a misspelt list or function
_QUOTED = re.compile(r"""(['"])(?P<text>.*)\1""", flags=re.DOTALL)
_SWEEPS = re.compile(r"-m|--multirun|hydra\.mode=MULTIRUN|sweep=.*")


def quoted(text: str) -> str:
    """The text between single quotes, as Hydra reads it back."""
    return QuotedString(text, Quote.single).with_quotes()


def literal(arguments: Sequence[str]) -> list[str]:
    """The same arguments, quoted where Hydra would refuse or misread plain text.

    A path is any text, such as ``data.root=/data/Photos (1)`` or ``data.root=2019``. What Hydra reads as that
    text already, what is quoted, ``null``, ``true``, ``false`` and ``${...}`` are left alone. In a sweep,
    commas separate paths; ``run=[A,B]`` is a list of paths. Values of other keys are quoted where they hold
    characters that are not in Hydra's grammar, such as ``method=Größe``.

    Args:
        arguments: a command line without the program's name.
    """
    sweeps = any(map(_SWEEPS.fullmatch, arguments))
    return [_literal(argument, sweeps=sweeps) for argument in arguments]


def _literal(argument: str, *, sweeps: bool) -> str:
    match = _ARGUMENT.fullmatch(argument)
    if not match:
        return argument
    key, value, override = match["key"], match["value"], _parsed(argument)
    name = key.lstrip("+")
    if name == _PATH_OR_LIST and not Path(value).exists():
        if override and (override.is_sweep_override() or isinstance(override.value(), list)):
            return argument
        if not override and value[:1] + value[-1:] == "[]":
            return f"{key}=[{_paths(value[1:-1])}]"
    if name != _PATH_OR_LIST and not _PATHS.fullmatch(name):
        return argument if override or _GRAMMAR.search(value) else f"{key}={quoted(value)}"
    if not sweeps:
        return f"{key}={_path(value)}"
    in_grammar = override and override.is_sweep_override() and _GRAMMAR.search(value.replace(",", ""))
    return argument if in_grammar else f"{key}={_paths(value)}"


def _paths(value: str) -> str:
    return ",".join(map(_path, value.split(",")))


def _path(value: str) -> str:
    override = _parsed(f"path={value}")
    if override and not override.is_sweep_override():
        read = override.value()
        if read is None or isinstance(read, bool) or value == read or _QUOTED.fullmatch(value):
            return value
    outer = _QUOTED.fullmatch(value)  # Lightning's, which escapes no quotes within
    return value if override and outer else quoted(outer["text"] if outer else value)


def _parsed(argument: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(argument)
    except HydraException:
        return None
