"""The verdict says what the numbers say, for cross-entropy and against it."""

import pytest

from ctc_lightning.analysis import load_runs, summary, verdict


@pytest.fixture
def verdict_of(write_run, tmp_path):
    """The verdict on methods, each (source, hue's peak, hue's end), its seeds one point apart."""

    def of(seeds=3, spread=0.01, **methods):
        for method, (source, peak, final) in methods.items():
            for seed in range(seeds):
                shift = spread * (seed - 1) if seeds > 1 else 0
                curves = {
                    ("classifier", "source"): [0.25, source - 0.1, source + shift / 10],
                    ("whitened", "hue"): [0.2, peak + shift, final + shift],
                }
                write_run(
                    {key: (curve, curve) for key, curve in curves.items()},
                    None,
                    method,
                    seed,
                    epochs=(0, 1, 2),
                )
        return verdict(summary(load_runs(tmp_path)))

    return of


def test_what_ce_loses_and_ctc_keeps(verdict_of):
    text = verdict_of(ce=(0.99, 0.94, 0.20), ctc_queue=(0.98, 0.97, 0.97))
    assert "- CE loses hue (94.0 → 20.0)." in text
    assert "CE, stopped early (epoch 1): mean transfer 94.0, source 89.0." in text
    assert "- CTC, temporal queue keeps hue." in text
    assert "higher on hue (+77.0)" in text
    assert "mean transfer 97.0, source 98.0; source accuracy against CE's best: 1.0 points lost." in text


def test_what_ctc_loses_is_said_too(verdict_of):
    text = verdict_of(ce=(0.98, 0.90, 0.90), ctc_bank=(0.99, 0.90, 0.60))
    assert "- CE keeps hue." in text
    assert "- CTC, memory bank loses hue (90.0 → 60.0)." in text
    assert "lower on hue (-30.0)" in text
    assert "1.0 points gained" in text


def test_a_difference_within_the_spread_is_none(verdict_of):
    # The finals' std is 1 point each: two methods differ beyond 2·√2 = 2.83 points, and 2.5 is less.
    text = verdict_of(ce=(0.99, 0.90, 0.90), ctc_queue=(0.99, 0.925, 0.925))
    assert "no difference beyond the seeds' spread on hue" in text
    assert "source accuracy against CE's best: no difference beyond the seeds' spread." in text


def test_a_difference_beyond_the_spread_is_one(verdict_of):
    text = verdict_of(ce=(0.99, 0.90, 0.90), ctc_queue=(0.99, 0.93, 0.93))
    assert "higher on hue (+3.0)" in text


def test_a_rise_after_the_peak_on_validation_is_no_loss(write_run, tmp_path):
    source = {("classifier", "source"): ([0.25, 0.6, 0.9],) * 2}
    write_run(source | {("whitened", "hue"): ([0.2, 0.6, 0.7], [0.2, 0.6, 0.5])}, epochs=(0, 1, 2))
    assert "- CE keeps hue." in verdict(summary(load_runs(tmp_path)))


def test_ctc_meets_the_best_baseline(verdict_of):
    text = verdict_of(ce=(0.99, 0.90, 0.20), ce_best_wd=(0.97, 0.90, 0.80), ctc_queue=(0.98, 0.90, 0.90))
    assert "higher on hue (+10.0)" in text
    assert "1.0 points lost" in text


def test_one_seed_claims_no_spread(verdict_of):
    text = verdict_of(seeds=1, ce=(0.99, 0.90, 0.905), ctc_queue=(0.985, 0.90, 0.90))
    assert "within one point on hue" in text
    assert "seeds' spread" not in text
    assert "one seed tells no spread" in text


def test_without_a_baseline_nothing_is_compared(verdict_of):
    text = verdict_of(ctc_queue=(0.99, 0.90, 0.90))
    assert "CTC, temporal queue keeps hue" in text
    assert "CE's best" not in text


def test_without_source_accuracies_transfer_is_judged_alone(write_run, tmp_path):
    for method, end in (("ce", 0.2), ("ctc_queue", 0.9)):
        write_run({("whitened", "hue"): ([0.2, 0.9, end],) * 2}, method=method, epochs=(0, 1, 2))
    text = verdict(summary(load_runs(tmp_path)))
    assert "- CE loses hue (90.0 → 20.0)." in text
    assert "At the end mean transfer 90.0." in text
    assert "source" not in text.replace("one seed tells no spread", "")


def test_another_protocol_may_be_the_one_that_judges(write_run, tmp_path):
    write_run({("logreg", "hue"): ([0.2, 0.9, 0.5],) * 2}, epochs=(0, 1, 2))
    assert "- CE loses hue (90.0 → 50.0)." in verdict(summary(load_runs(tmp_path)), "logreg")
