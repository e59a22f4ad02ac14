"""The table has the ranking's numbers, the best score first."""

import numpy as np
import pandas as pd
import pytest

from ctc_lightning.analysis.frames.ranking_table import ranking_table, title


def rows(score, mean, within, hue, *, std=0.051, n_seeds=3, undefined=0, data="glyphs"):
    """Of one score: the mean in both scopes, and one target's."""
    base = {"data": data, "score": score, "n_seeds": n_seeds, "n_rankings": 6, "n_undefined": undefined}
    places = (
        ("mean", "all checkpoints", mean),
        ("hue", "all checkpoints", hue),
        ("mean", "within a run", within),
    )
    return [
        base
        | {"target": target, "scope": scope, "spearman_mean": value, "spearman_std": std}
        | {"tau_w_mean": value / 2, "tau_w_std": std, "n_checkpoints": 30 if "all" in scope else 10}
        for target, scope, value in places
    ]


def test_numbers_and_their_order():
    found = pd.DataFrame([*rows("logme", 0.84, 0.6, 0.9), *rows("nc1", -0.251, 0.1, -0.004, undefined=2)])
    lines = ranking_table(found).splitlines()
    first, second = (line for line in lines if "of 6" in line)
    assert first == "| LogME | 0.84 ± 0.05 | 0.42 ± 0.05 | 0.60 ± 0.05 | 0.30 ± 0.05 | 0 of 6 | 0 of 6 |"
    assert second.startswith("| −NC1* | −0.25 ± 0.05 | −0.13 ± 0.05 |")
    assert second.endswith("| 2 of 6 | 2 of 6 |")
    assert lines[-4:] == [
        "| score | hue |",
        "| --- | --- |",
        "| LogME | 0.90 ± 0.05 |",
        "| −NC1* | 0.00 ± 0.05 |",
    ]
    assert "mean ± std of 3 seeds" in lines[0]
    assert "together (30)" in lines[0]
    assert "by itself (10)" in lines[0]


def test_one_seed_has_no_spread_and_an_undefined_mean_no_number():
    found = pd.DataFrame(
        [
            *rows("sfda", 0.5, 0.5, 0.5, std=np.nan, n_seeds=1),
            *rows("nce", *[np.nan] * 3, n_seeds=0, undefined=6),
        ]
    )
    table = ranking_table(found)
    assert "one seed" in table
    assert "| SFDA | 0.50 | 0.25 | 0.50 | 0.25 | 0 of 6 | 0 of 6 |" in table
    assert "| NCE | – | – | – | – | 6 of 6 | 6 of 6 |" in table


def test_every_row_has_as_many_cells_as_the_head():
    found = pd.DataFrame([*rows("logme", 0.84, 0.6, 0.9), *rows("mine", 0.1, 0.1, 0.1)[:1]])
    for block in ranking_table(found).split("\n\n"):
        widths = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1


def test_names_tell_what_to_know():
    assert title("logme") == "LogME"
    assert title("vci") == "−variability collapse index*"
    assert title("uniformity") == "−uniformity"
    assert title("of_ones_own") == "of_ones_own"


def test_several_data_sets_are_refused():
    found = pd.DataFrame([*rows("logme", 1, 1, 1), *rows("logme", 1, 1, 1, data="digits")])
    with pytest.raises(ValueError, match="rows of 2 data sets; give those of one at a time"):
        ranking_table(found)
    with pytest.raises(ValueError, match="rows of 0 data sets"):
        ranking_table(found[:0])
