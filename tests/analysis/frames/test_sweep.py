"""A sweep's table has every choice once, with the numbers of its runs, and marks those on the front."""

import numpy as np
import pytest

from ctc_lightning.analysis import comparable, load_runs, pareto_front, sweep_table

SETTINGS = ["model.temperature", "model.queue_size"]
# (temperature, queue size) -> source, hue and fine at the end
ENDS = {
    (0.1, 64): (0.90, 0.80, 0.90),  # transfer 0.85: on the front
    (0.1, 256): (0.95, 0.60, 0.80),  # 0.70: on the front
    (0.5, 64): (0.85, 0.40, 0.60),  # 0.50
    (0.5, 256): (0.94, 0.50, 0.70),  # 0.60: below and to the left of (0.1, 256)
}


def curves_of(source, hue, fine, shift=0.0):
    ends = {("classifier", "source"): source, ("whitened", "hue"): hue, ("whitened", "fine"): fine}
    return {key: ([0.3, end + shift],) * 2 for key, end in ends.items()}


@pytest.fixture
def write_sweep(write_run, tmp_path):
    def write(ends=ENDS, seeds=(0, 1)):
        for (temperature, size), values in ends.items():
            for seed in seeds:
                config = f"model:\n  temperature: {temperature}\n  queue_size: {size}\n"
                folder = f"glyphs/{temperature}-{size}/{seed}"
                curves = curves_of(*values, 0.02 * seed)
                write_run(curves, folder, "ctc_queue", seed, epochs=(0, 9), config=config)
        return tmp_path / "glyphs"

    return write


def test_every_choice_is_a_row_with_mean_and_spread_of_its_seeds(write_sweep):
    table = sweep_table(comparable(load_runs(write_sweep())))
    assert list(table[SETTINGS].itertuples(index=False, name=None)) == list(ENDS)
    np.testing.assert_array_equal(table["n"], 2)
    source, hue, fine = np.array(list(ENDS.values())).T
    np.testing.assert_allclose(table["source_mean"], source + 0.01)
    np.testing.assert_allclose(table["transfer_mean"], (hue + fine) / 2 + 0.01)
    for axis in ("source", "transfer"):
        np.testing.assert_allclose(table[f"{axis}_std"], 0.02 / np.sqrt(2))
    np.testing.assert_array_equal(table["front"], [True, True, False, False])


def test_a_method_without_the_settings_is_there_without_values(write_sweep, write_run):
    write_run(curves_of(0.99, 0.3, 0.9), "glyphs/ce/0", "ce", 0, epochs=(0, 9))
    table = sweep_table(comparable(load_runs(write_sweep()))).set_index("method")
    assert table.loc["ce", SETTINGS].isna().all()
    assert table.loc["ce", "front"], "no other is as good on the source"
    assert table[SETTINGS].notna().all(axis=1).sum() == len(ENDS)


def test_transfer_is_over_the_targets_that_all_methods_have(write_sweep, write_run):
    only_hue = curves_of(0.99, 0.3, 0.9)
    del only_hue["whitened", "fine"]
    write_run(only_hue, "glyphs/ce/0", "ce", 0, epochs=(0, 9))
    table = sweep_table(comparable(load_runs(write_sweep(seeds=(0,)))))
    hue = [hue for _, hue, _ in ENDS.values()]
    np.testing.assert_allclose(table["transfer_mean"], [*hue, 0.3])


def test_one_seed_has_no_spread(write_sweep):
    table = sweep_table(comparable(load_runs(write_sweep(seeds=(0,)))))
    assert table[["source_std", "transfer_std"]].isna().all(axis=None)


def test_settings_that_no_run_has_are_one_sentence(write_sweep):
    runs = comparable(load_runs(write_sweep()))
    with pytest.raises(ValueError, match=r"no run has model\.warmth and model\.queue_size: train such"):
        sweep_table(runs, ["model.warmth", "model.queue_size"])


def test_methods_without_a_target_in_common_are_refused(write_run, tmp_path):
    for method, target in {"ce": "hue", "ctc_queue": "fine"}.items():
        curves = {("classifier", "source"): ([0.5],) * 2, ("whitened", target): ([0.5],) * 2}
        write_run(curves, f"glyphs/{method}", method, epochs=(9,))
    with pytest.raises(ValueError, match="no target was measured for every method"):
        sweep_table(comparable(load_runs(tmp_path / "glyphs")))


def test_the_front_is_what_no_other_point_beats():
    points = [(1, 4), (2, 3), (2, 2), (3, 1), (1, 4), (0, 4), (3, 0)]
    np.testing.assert_array_equal(pareto_front(points), [True, True, False, True, True, False, False])


def test_the_front_follows_its_definition_on_random_points():
    points = np.random.default_rng(0).integers(0, 6, (60, 2))  # with ties
    expected = [not any((other >= p).all() and (other > p).any() for other in points) for p in points]
    assert 0 < sum(expected) < len(points)
    np.testing.assert_array_equal(pareto_front(points), expected)
