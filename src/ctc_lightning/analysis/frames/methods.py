"""How a method is called, coloured, marked and ordered, in every table and figure alike."""

from collections.abc import Iterable, Sequence

# Okabe & Ito's palette suits colour-blind readers: warm for cross-entropy, cool for CTC. Wine
# (Tol) stands for their yellow, which is too pale for a line on white.
STYLE = {
    "ce": ("CE", "#D55E00"),
    "ce_best_wd": ("CE, best weight decay", "#E69F00"),
    "ctc_queue": ("CTC, temporal queue", "#0072B2"),
    "ctc_bank": ("CTC, memory bank", "#56B4E9"),
    "ctc_two_stage": ("CTC, two stages", "#009E73"),
    "ctc_two_stage_reference": ("CTC, reference's stages", "#CC79A7"),
}
SPARE = ("#000000", "#882255")
PALETTE = (*(colour for _, colour in STYLE.values()), *SPARE)
OTHERS = "#C8C8C8"  # of methods that are too many to be told apart
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")  # beside the colours: for print in grey
DASHES = ((0, (6, 3)), (0, (2, 2)), (0, (8, 2, 2, 2)), (0, (1, 3)))  # of plain backbones

METRIC_NAMES = {"top1": "", "mean_per_class": "mean per class", "map_11_point": "11-point mAP"}


def base(method: str) -> str:
    """The method's own name, without its variant: ``ctc_queue`` of ``ctc_queue, temperature=0.1``."""
    return method.partition(", ")[0]


def is_baseline(method: str) -> bool:
    """Whether the method is cross-entropy alone: its name is ``ce`` or starts with ``ce_``."""
    return base(method) == "ce" or method.startswith("ce_")


def label(method: str) -> str:
    """The readable name, or the method's own where none is known."""
    known = base(method)
    return STYLE[known][0] + method.removeprefix(known) if known in STYLE else method


def ordered(methods: Iterable[str]) -> list[str]:
    """The distinct methods: baselines and known methods first, then the others by name."""
    known = list(STYLE)
    return sorted(set(methods), key=lambda m: (known.index(base(m)) if base(m) in STYLE else len(known), m))


def colours(methods: Iterable[str]) -> dict[str, str]:
    """A colour for each method: its own, or for unknown methods and further variants one that is free.

    Past as many as there are colours they repeat.
    """
    methods = ordered(methods)
    paint: dict[str, str] = {}
    for method in methods:
        own = STYLE[base(method)][1] if base(method) in STYLE else None
        if own is not None and own not in paint.values():
            paint[method] = own
    free = [colour for colour in dict.fromkeys((*SPARE, *PALETTE)) if colour not in paint.values()] or list(
        PALETTE
    )
    rest = [method for method in methods if method not in paint]
    paint |= {method: free[i % len(free)] for i, method in enumerate(dict.fromkeys(rest))}
    return {method: paint[method] for method in methods}


def markers(methods: Sequence[str]) -> dict[str, str]:
    """A marker for each method."""
    return {method: MARKERS[i % len(MARKERS)] for i, method in enumerate(methods)}


def target_label(target: str, metric: str = "top1") -> str:
    """The target's name, with its metric where that is not top-1: ``pets (mean per class)``."""
    named = METRIC_NAMES.get(metric, metric)
    return f"{target} ({named})" if named else target
