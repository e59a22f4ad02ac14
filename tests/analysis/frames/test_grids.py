"""A sweep over two settings is shown as a grid; anything else is not."""

import re

import pandas as pd
import pytest

from ctc_lightning.analysis import comparable, load_runs
from ctc_lightning.analysis.figures.sweep import sweep_markdown
from ctc_lightning.analysis.frames.comparable import with_targets
from ctc_lightning.analysis.frames.sweep import grid_settings, grid_tables, grids_without_table

# (temperature, queue size) -> source and hue at the end
ENDS = {(0.1, 64): (0.90, 0.80), (0.1, 256): (0.95, 0.60), (0.5, 64): (0.85, 0.40), (0.5, 256): (0.94, 0.50)}


@pytest.fixture
def sweep(write_run, tmp_path):
    """A function of (temperature, queue size) -> ends and of seeds: the comparable runs."""

    def runs(ends=ENDS, seeds=(0, 1), method="ctc_queue", interpolated=True):
        for (temperature, size), (source, hue) in ends.items():
            for seed in seeds:
                config = f"model:\n  temperature: {temperature}\n  queue_size: {size}\n"
                config += f"  stages: {{contrast: {{temperature: {temperature}}}}}\n" if interpolated else ""
                curves = {("classifier", "source"): ([0.3, source],) * 2}
                curves["whitened", "hue"] = ([0.3, hue],) * 2
                folder = f"glyphs/{method}-{temperature}-{size}/{seed}"
                write_run(curves, folder, method, seed, epochs=(0, 9), config=config)
        return with_targets(comparable(load_runs(tmp_path / "glyphs")))

    return runs


def test_the_grid_has_figures_a_table_and_its_front(sweep, tmp_path):
    table, settings = grid_tables(sweep())[""]
    assert settings == ["model.temperature", "model.queue_size"]
    numbers = table.set_index(settings)
    assert numbers["source_mean"].to_dict() == pytest.approx({pair: ends[0] for pair, ends in ENDS.items()})
    assert numbers["transfer_mean"].to_dict() == pytest.approx({pair: ends[1] for pair, ends in ENDS.items()})
    bold = re.findall(r"\*\*CTC, temporal queue, (.*?)\*\*", text := sweep_markdown(table))
    assert bold == ["queue_size=256, temperature=0.1", "queue_size=64, temperature=0.1"]
    assert "90.0±0.0 | 80.0±0.0" in text


def test_cross_entropy_beside_it_takes_part_in_the_front(sweep, write_run, tmp_path):
    curves = {("classifier", "source"): ([0.3, 0.99],) * 2, ("whitened", "hue"): ([0.3, 0.1],) * 2}
    write_run(curves, "glyphs/ce/0", "ce", 0, epochs=(0, 9))
    assert "| **CE** | 99.0 | 10.0 |" in sweep_markdown(grid_tables(sweep())[""][0])


def test_a_job_that_failed_leaves_a_hole(sweep, tmp_path):
    ends = {pair: values for pair, values in ENDS.items() if pair != (0.5, 64)}
    assert len(grid_tables(sweep(ends))[""][0]) == 3


def test_each_method_has_a_grid_of_its_own(sweep, tmp_path):
    sweep()
    found = grid_tables(sweep(method="ctc_bank"))
    assert {method: len(table) for method, (table, _) in found.items()} == {
        "ctc_queue": len(ENDS),
        "ctc_bank": len(ENDS),
    }


@pytest.mark.parametrize(
    "ends",
    [
        {(0.1, 64): (0.9, 0.8)},
        {(0.1, 64): (0.9, 0.8), (0.2, 64): (0.9, 0.8)},
        {(0.1 + i / 100, 64 + i): (0.9, 0.8) for i in range(4)},
    ],
    ids=["one choice", "one setting", "drawn from intervals"],
)
def test_other_runs_have_no_grid(ends, sweep):
    assert grid_tables(runs := sweep(ends)) == grids_without_table(runs) == {}


def test_the_settings_are_those_that_differ_by_their_shortest_names(sweep):
    runs = sweep()
    assert grid_settings(runs, "ctc_queue") == ["model.temperature", "model.queue_size"]
    assert grid_settings(runs, "ce") == []


def test_without_a_shared_target_it_says_so(sweep, write_run, tmp_path):
    curves = {("classifier", "source"): ([0.3, 0.9],) * 2, ("whitened", "fine"): ([0.3, 0.1],) * 2}
    write_run(curves, "glyphs/ce/0", "ce", 0, epochs=(0, 9))
    assert grid_tables(runs := sweep()) == {}
    assert grids_without_table(runs)["ctc_queue"].startswith("no target was measured")


def test_the_report_shows_the_grid(sweep, tmp_path):
    from ctc_lightning.report import report

    sweep()
    report([tmp_path / "glyphs"], tmp_path / "out")
    assert len(pd.read_csv(tmp_path / "out" / "sweep.csv")) == len(ENDS)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "The grid of the sweep" in page
    assert "Pareto front" in page
    assert "](grid.png)" in (tmp_path / "out" / "trade_off.md").read_text(encoding="utf-8")
