"""Maps: components are those of a reference, colours those of the labels."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from sklearn.decomposition import PCA

from ctc_lightning.analysis import feature_map_figure, principal_components


def test_components_and_shares_are_scikit_learn_s_up_to_the_sign():
    h_NF = np.random.default_rng(0).normal(size=(40, 7)) * np.arange(1, 8) + 5
    component_NK, share_K = principal_components(torch.from_numpy(h_NF), 3)
    reference = PCA(3).fit(h_NF)
    expected = reference.transform(h_NF)
    np.testing.assert_allclose(np.abs(component_NK), np.abs(expected), atol=1e-9)
    np.testing.assert_allclose(share_K, reference.explained_variance_ratio_, atol=1e-12)


def test_the_sign_does_not_depend_on_that_of_the_features_basis():
    h_NF = np.random.default_rng(1).normal(size=(20, 4))
    turned = principal_components(h_NF @ np.diag([1, -1, -1, 1]))[0]
    np.testing.assert_allclose(principal_components(h_NF)[0], turned, atol=1e-9)


def test_more_components_than_features_are_refused():
    with pytest.raises(ValueError, match="3 asked for, of 9 images with 2 features there are at most 2"):
        principal_components(np.ones((9, 2)), 3)


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    points = {f"epoch {epoch}": rng.normal(size=(12, 2)) for epoch in (0, 5, 9)}
    return points, {"source": torch.arange(12) % 2, "hue": torch.arange(12) // 2}


def test_rows_are_labels_and_columns_moments_with_the_same_points(maps, tmp_path):
    points, labels = maps
    figure = feature_map_figure(points, labels, "CE")
    grid = np.array(figure.axes).reshape(2, 3)
    assert [axes.get_title() for axes in grid[0]] == list(points)
    assert [axes.get_ylabel() for axes in grid[:, 0]] == ["by source", "by hue"]
    for row in grid:
        for axes, xy_N2 in zip(row, points.values(), strict=True):
            np.testing.assert_allclose(axes.collections[0].get_offsets(), xy_N2)
    figure.savefig(tmp_path / "map.png")


def test_two_images_have_one_colour_if_and_only_if_they_have_one_label(maps):
    points, labels = maps
    grid = np.array(feature_map_figure(points, labels).axes).reshape(2, 3)
    for row, label_N in zip(grid, labels.values(), strict=True):
        colour_N = [to_hex(colour) for colour in row[0].collections[0].get_facecolors()]
        same_label = label_N[:, None] == label_N[None]
        same_colour = [[one == other for other in colour_N] for one in colour_N]
        np.testing.assert_array_equal(same_colour, same_label)


def test_more_classes_than_named_colours_still_differ():
    label_N = torch.arange(20)
    figure = feature_map_figure({"epoch 0": np.random.default_rng(0).normal(size=(20, 2))}, {"fine": label_N})
    colours = {to_hex(colour) for colour in figure.axes[0].collections[0].get_facecolors()}
    assert len(colours) == 20


def test_labels_of_other_images_are_refused(maps):
    points, labels = maps
    with pytest.raises(ValueError, match="label hue: 11"):
        feature_map_figure(points, labels | {"hue": labels["hue"][:11]})
