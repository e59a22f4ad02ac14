"""Features in the plane: one picture of the same points coloured by each label, at each moment of training.

N: images, F: features
"""

from collections.abc import Mapping

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import ColorType
from numpy.typing import ArrayLike, NDArray

from ctc_lightning.analysis.figures.style import INK
from ctc_lightning.analysis.frames.methods import PALETTE

_MOST = 12  # classes that a legend has room for


def principal_components(
    h_NF: ArrayLike, num_components: int = 2
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The features along their directions of largest variance.

        H − mean = U S Vᵀ,  components = U S,  share_i = s_i² / Σ_j s_j²

    The sign of each component is chosen so that its largest entry is positive: the same features give the
    same picture on every machine.

    Args:
        h_NF: (N, F).
        num_components: at most min(N, F).

    Returns:
        (N, num_components) and (num_components,), float64.

    Raises:
        ValueError: more components than images or features.
    """
    h_NF = np.asarray(h_NF, np.float64)
    if num_components > min(h_NF.shape):
        raise ValueError(
            f"principal components: {num_components} asked for, of {h_NF.shape[0]} images with "
            f"{h_NF.shape[1]} features there are at most {min(h_NF.shape)}"
        )
    u_NK, s_K, _ = np.linalg.svd(h_NF - h_NF.mean(0), full_matrices=False)
    component_NK = (u_NK * s_K)[:, :num_components]
    largest_K = np.take_along_axis(component_NK, np.abs(component_NK).argmax(0)[None], axis=0)
    share_K = s_K**2 / max((s_K**2).sum(), np.finfo(np.float64).tiny)
    return component_NK * np.where(largest_K < 0, -1.0, 1.0), share_K[:num_components]


def feature_map_figure(
    points: Mapping[str, ArrayLike], labels: Mapping[str, ArrayLike], title: str = ""
) -> Figure:
    """A column for each moment, a row for each label; the points of a column are the same in every row.

    Args:
        points: name of a moment -> (N, 2).
        labels: name of a label -> (N,) classes of the same images.
        title: above all.

    Raises:
        ValueError: points and labels of different numbers of images.
    """
    places = {moment: np.asarray(xy_N2) for moment, xy_N2 in points.items()}
    classes_of = {name: np.asarray(label_N) for name, label_N in labels.items()}
    counts = {f"points of {moment}": len(xy_N2) for moment, xy_N2 in places.items()}
    counts |= {f"label {name}": len(label_N) for name, label_N in classes_of.items()}
    if len(set(counts.values())) != 1:
        raise ValueError(
            f"feature map: numbers of images differ ({', '.join(f'{k}: {n}' for k, n in counts.items())}); "
            "give points and labels of the same images"
        )
    figure = Figure(figsize=(3.6 * len(points) + 1.3, 3.3 * len(labels) + 0.5), layout="constrained")
    grid = figure.subplots(len(labels), len(points), squeeze=False)
    for place, (name, label_N) in enumerate(classes_of.items()):
        row = grid[place]
        classes, class_N = np.unique(label_N, return_inverse=True)
        paint = _paint(len(classes))
        for axes, (moment, xy_N2) in zip(row, places.items(), strict=True):
            axes.scatter(*xy_N2.T, 5, color=[paint[i] for i in class_N], lw=0)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color("#CCCCCC")
            if place == 0:
                axes.set_title(moment, color=INK, fontsize=12)
        row[0].set_ylabel(f"by {name}", color=INK, fontsize=12)
        shown = list(zip(classes, paint, strict=True))[:_MOST]
        dots = [Line2D([], [], color=c, marker="o", ls="", ms=5, label=str(value)) for value, c in shown]
        row[-1].legend(handles=dots, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    figure.suptitle(title, color=INK, fontsize=13)
    return figure


def _paint(num_classes: int) -> list[ColorType]:
    if num_classes <= len(PALETTE):
        return list(PALETTE[:num_classes])
    return list(colormaps["turbo"]([i / (num_classes - 1) for i in range(num_classes)]))
