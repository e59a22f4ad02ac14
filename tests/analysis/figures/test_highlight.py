"""Of too many methods the best are shown, and cross-entropy's best with them."""

import pandas as pd

from ctc_lightning.analysis.figures.highlight import MOST, backbones, highlighted, in_order


def rows(finals, plain=(), **others):
    columns = {"protocol": "whitened", "target": "hue", "stopped": "at the end"} | others
    return pd.DataFrame(
        [columns | {"method": m, "final_mean": v, "plain": m in plain} for m, v in finals.items()]
    )


def test_a_few_are_all_shown_in_the_known_order():
    table = rows({"mine": 0.9, "ctc_queue": 0.1, "ce": 0.5})
    assert in_order(table, "whitened") == highlighted(table, "whitened") == ["ce", "ctc_queue", "mine"]


def test_of_many_the_best_are_shown_best_first():
    table = rows({f"m{i}": i / 100 for i in range(50)})
    assert highlighted(table, "whitened") == [f"m{i}" for i in range(49, 49 - MOST, -1)]
    assert in_order(table, "whitened")[-1] == "m0"


def test_the_best_cross_entropy_is_among_them():
    table = rows({f"m{i}": 0.5 + i / 100 for i in range(20)} | {"ce": 0.1, "ce, weight_decay=1": 0.2})
    assert highlighted(table, "whitened")[-1] == "ce, weight_decay=1"
    assert len(highlighted(table, "whitened")) == MOST


def test_only_targets_that_all_have_decide():
    table = pd.concat(
        [rows({f"m{i}": i / 100 for i in range(20)}), rows({"m0": 1.0}, target="easy")], ignore_index=True
    )
    assert highlighted(table, "whitened")[0] == "m19"


def test_backbones_are_no_methods():
    table = rows({"ce": 0.5, "timm/resnet50": 0.9}, plain=["timm/resnet50"])
    assert in_order(table, "whitened") == ["ce"]
    assert backbones(table) == ["timm/resnet50"]
