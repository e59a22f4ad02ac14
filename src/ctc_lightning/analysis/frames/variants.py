"""Runs of one method that differ by more than their seed: what tells them apart, as ``temperature=0.1``."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Config = Mapping[str, Any]
# Where and how a run was made, not what was made: two runs that differ in these alone are of one kind
_PLACES = (
    "allow_changes", "callbacks", "debug", "hydra", "images", "logger", "method", "num_threads", "objectives",
    "paths", "resume", "seed", "sweep",
    "data.cache_dir", "data.eval_batch_size", "data.num_workers", "data.resplit",
    "data.root",
    "trainer.default_root_dir", "trainer.enable_model_summary", "trainer.enable_progress_bar",
    "trainer.log_every_n_steps",
)  # fmt: skip
_WEIGHTS = "callbacks.weight_average.decay"  # the one setting of a callback that weights depend on
_PLAIN_PARTS = ("network", "input")  # all that makes a plain backbone what it is
_FEW = 3  # settings in a name, beyond which those are chosen that tell the variants apart


def variants(configs: Mapping[str, tuple[str, str, int, Config]]) -> dict[str, str]:
    """The name of each run's variant among the runs of its data set and method; empty where all are alike.

    Seeds that follow the run's (``data.seed``) and where a run was made does not count. Of settings that
    always have the same value as another one (``model.temperature`` and what interpolates it) the shortest
    name stands.

    Args:
        configs: path -> data set, method, seed, composed configuration.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for path, (data, method, _, _) in configs.items():
        groups.setdefault((data, method), []).append(path)
    return {path: name for paths in groups.values() for path, name in _named(paths, configs)}


def _named(
    paths: list[str], configs: Mapping[str, tuple[str, str, int, Config]]
) -> Iterator[tuple[str, str]]:
    seeds = [configs[path][2] for path in paths]
    told = swept([configs[path][3] for path in paths], seeds, plain=configs[paths[0]][0] == "")
    if len(told) > _FEW:
        told = _enough(told, len(paths))
    short = _shortest(told.values())
    for run, path in enumerate(paths):
        yield path, ", ".join(f"{short[key]}={values[run]}" for values, key in told.items())


def swept(
    configs: Sequence[Config], seeds: Sequence[int], *, plain: bool = False
) -> dict[tuple[str, ...], str]:
    """The settings in which runs of one method differ: their values over the runs -> the dotted name.

    Args:
        configs: of each run.
        seeds: likewise.
        plain: they are of plain backbones.
    """
    flat = [dict(_flat(config)) for config in configs]
    keys = sorted(dict.fromkeys(key for config in flat for key in config), key=lambda k: (k.count("."), k))
    told: dict[tuple[str, ...], str] = {}  # values over the runs -> the first, shortest setting with them
    for key in keys:
        values = tuple(_text(config.get(key)) for config in flat)
        if not _matters(key, plain=plain) or len({*values}) == 1:
            continue
        if _is_seed(key) and all(v in (str(seed), "none") for v, seed in zip(values, seeds, strict=True)):
            continue
        told.setdefault(values, key)
    return told


def data_settings(config: Config) -> dict[str, str]:
    """The settings that choose a run's images, seeds of data aside: dotted name -> value."""
    flat = dict(_flat({"data": config["data"]}))
    return {key: _text(flat[key]) for key in flat if _matters(key, plain=False) and not _is_seed(key)}


def _matters(key: str, *, plain: bool) -> bool:
    if plain:
        return key.split(".", maxsplit=1)[0] in _PLAIN_PARTS
    return key == _WEIGHTS or not any(key == place or key.startswith(f"{place}.") for place in _PLACES)


def _is_seed(key: str) -> bool:
    return key.rpartition(".")[2].endswith("seed")


def _enough(told: dict[tuple[str, ...], str], num_runs: int) -> dict[tuple[str, ...], str]:
    """As few of the settings, in their order, as tell the same runs apart."""
    chosen: dict[tuple[str, ...], str] = {}
    kinds = 1
    for values, key in told.items():
        together = len(
            {tuple(chosen_values[i] for chosen_values in [*chosen, values]) for i in range(num_runs)}
        )
        if together > kinds:
            chosen[values], kinds = key, together
    return chosen


def _shortest(keys: Iterable[str]) -> dict[str, str]:
    """Each dotted name from its end, as long as it takes to be unlike the others."""
    keys, short = list(keys), {}
    for key in keys:
        parts = key.split(".")
        ends = [".".join(parts[-length:]) for length in range(1, len(parts) + 1)]
        short[key] = next(end for end in ends if sum(f".{k}".endswith(f".{end}") for k in keys) == 1)
    return short


def _flat(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values; a list is one value."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, node


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)
