"""Variants are named by what differs in their configurations, and by nothing else."""

from ctc_lightning.analysis.frames.variants import variants


def named(*configs, data="glyphs", method="ctc_queue", seeds=None):
    seeds = seeds or [0] * len(configs)
    found = variants(
        {str(i): (data, method, s, c) for i, (c, s) in enumerate(zip(configs, seeds, strict=True))}
    )
    return [found[str(i)] for i in range(len(configs))]


def config(seed=0, **model):
    return {
        "data": {"name": "glyphs", "seed": seed, "root": f"/somewhere/{seed}"},
        "model": model | {"stages": {"contrast": {"contrast": {"temperature": model.get("temperature")}}}},
        "paths": {"run_dir": f"runs/{seed}/{model}"},
        "callbacks": {"last": {"dirpath": f"runs/{seed}/{model}"}},
        "seed": seed,
    }


def test_one_configuration_has_no_name():
    assert named(config()) == [""]


def test_seeds_and_places_make_no_variant():
    assert named(config(0), config(1), config(2), seeds=[0, 1, 2]) == ["", "", ""]


def test_a_setting_that_happens_to_equal_the_seed_is_a_variant():
    assert named(config(0, weight=0), config(1, weight=1), seeds=[0, 1]) == ["weight=0", "weight=1"]


def test_averaged_weights_are_a_variant_and_other_callbacks_are_not():
    plain = {"callbacks": {"weight_average": None, "milestones": {"every_n_epochs": 5}}}
    averaged = {"callbacks": {"weight_average": {"_target_": "x", "decay": 0.999}, "milestones": None}}
    assert named(plain, averaged) == ["decay=none", "decay=0.999"]


def test_how_a_run_went_on_makes_no_variant():
    begun, resumed = config() | {"allow_changes": False}, config() | {"allow_changes": True, "resume": "auto"}
    assert named(begun, resumed) == ["", ""]


def test_what_interpolates_a_setting_is_not_said_again():
    assert named(config(temperature=0.1), config(temperature=0.2)) == ["temperature=0.1", "temperature=0.2"]


def test_every_setting_that_differs_is_said():
    assert named(config(temperature=0.1, weight=1), config(temperature=0.2, weight=2)) == [
        "temperature=0.1, weight=1",
        "temperature=0.2, weight=2",
    ]


def test_settings_of_one_name_are_told_apart_by_their_parents():
    given = [
        {"optim": {"body": {"lr": 1}, "head": {"lr": 3}}},
        {"optim": {"body": {"lr": 2}, "head": {"lr": 3}}},
        {"optim": {"body": {"lr": 2}, "head": {"lr": 4}}},
    ]
    assert named(*given) == ["body.lr=1, head.lr=3", "body.lr=2, head.lr=3", "body.lr=2, head.lr=4"]


def test_many_differences_are_cut_to_those_that_tell_the_runs_apart():
    given = [{"a": i, "b": -i, "c": 10 * i, "d": 7 - i, "e": i % 2} for i in range(3)]
    assert named(*given) == ["a=0", "a=1", "a=2"]


def test_a_setting_that_one_lacks_is_none():
    assert named({"model": {"momentum": 0.9}}, {"model": {}}) == ["momentum=0.9", "momentum=none"]


def test_methods_and_data_sets_are_not_compared_with_each_other():
    found = variants(
        {
            "a": ("glyphs", "ce", 0, {"lr": 1}),
            "b": ("glyphs", "ctc_queue", 0, {"lr": 2}),
            "c": ("digits", "ce", 0, {"lr": 3}),
        }
    )
    assert set(found.values()) == {""}


def test_of_plain_backbones_only_the_network_counts():
    given = [
        {"network": {"pretrained": True}, "target": ["a"]},
        {"network": {"pretrained": True}, "target": ["b"]},
    ]
    assert named(*given, data="", method="timm/resnet50") == ["", ""]
