"""How a method is called, coloured and ordered, in every table and figure alike."""

from collections.abc import Iterable

# Okabe & Ito's palette is told apart by colour-blind readers: warm for cross-entropy, cool for CTC.
STYLE = {
    "ce": ("CE", "#D55E00"),
    "ce_best_wd": ("CE, best weight decay", "#E69F00"),
    "ctc_queue": ("CTC, temporal queue", "#0072B2"),
    "ctc_bank": ("CTC, memory bank", "#56B4E9"),
    "ctc_two_stage": ("CTC, two stages", "#009E73"),
    "ctc_two_stage_reference": ("CTC, reference's stages", "#CC79A7"),
}
SPARE = ("#000000", "#F0E442", "#999999", "#882255")


def is_baseline(method: str) -> bool:
    """Whether the method is cross-entropy alone: its name is ``ce`` or starts with ``ce_``."""
    return method == "ce" or method.startswith("ce_")


def label(method: str) -> str:
    """The readable name, or the method's own where none is known."""
    return STYLE[method][0] if method in STYLE else method


def ordered(methods: Iterable[str]) -> list[str]:
    """The distinct methods: baselines and known methods first, then the others by name."""
    given = set(methods)
    return [method for method in STYLE if method in given] + sorted(given - STYLE.keys())


def colours(methods: Iterable[str]) -> dict[str, str]:
    """One colour for each method; past the spare ones they repeat."""
    methods = ordered(methods)
    others = [method for method in methods if method not in STYLE]
    spare = {method: SPARE[i % len(SPARE)] for i, method in enumerate(others)}
    return {method: STYLE[method][1] if method in STYLE else spare[method] for method in methods}
