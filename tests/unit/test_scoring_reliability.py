"""Tests of a judge against itself and another: flips found, coefficients recomputed, wrong batches refused, gates."""

import json
import random
from itertools import product

import pytest
from sklearn.metrics import cohen_kappa_score

from scoring_fixtures import checklist, checklist_file, prompts_table, responses_table, script, spec, texts
from winnow.core.config.signals import Gates, Reliability
from winnow.core.errors import WinnowError
from winnow.core.ids import canonical_json
from winnow.scoring.agreement import Pair, coefficients, flip_rate
from winnow.scoring.gates import failure, gate, gates_of
from winnow.scoring.reliability import Comparison, SampleBatch, check_batches, expected

LIST = checklist()
ITEMS = [item.id for item in LIST.questions]
COUNT = 120
JUDGE = {"model": "m", "revision": "1", "prompt_sha": "p", "mode": "item", "seed": 0, "variant": ""}
JUDGE |= {"checklist_sha": LIST.sha256}
OPPOSITE = {"yes": "no", "no": "yes", None: None}


def answers(count=COUNT, seed=1, nulls=0.05):
    """Answers to every item of every response, some missing."""
    draw = random.Random(seed)
    weights = [(1 - nulls) * 0.4, (1 - nulls) * 0.6, nulls]
    return [{item: draw.choices(["yes", "no", None], weights)[0] for item in ITEMS} for _ in range(count)]


def flipped(table, share, seed=2):
    """The same with exactly this share of what was answered turned round."""
    places = [(row, item) for row, item in product(range(len(table)), ITEMS) if table[row][item] is not None]
    turned = set(random.Random(seed).sample(places, round(share * len(places))))
    return [
        {item: OPPOSITE[answer] if (n, item) in turned else answer for item, answer in row.items()}
        for n, row in enumerate(table)
    ], len(turned)


def judged(path, table, *, first=0, injections=None, **judge):
    """A shard with ids r00000, r00001, ... of a judge."""
    with path.open("w") as out:
        for number, said in enumerate(table, first):
            row = {"key": f"k{number}", "response_id": f"r{number:05d}", "prompt_id": f"p{number // 2}"}
            row |= {"answers": said, "p_yes": dict.fromkeys(said), "raw": None, "log_p": None, "left_out": 0}
            row |= {"parse_status": "ok", "injection_flags": [], "n_tokens": 30 + number, "judge": JUDGE | judge}
            row |= {"injection": injections[number % len(injections)]} if injections else {}
            out.write(canonical_json(row) + "\n")
    return path


def compared(folder, kind, main, again, *, corpus="papers", sample=COUNT, injections=None, main_judge=JUDGE, **judge):
    """The report of one batch against the main judge's rows."""
    variants = {"retest": "retest", "reordered": "reordered"}
    judge = {"variant": variants.get(kind, "")} | ({"model": "other"} if kind == "second" else {}) | judge
    path = judged(folder / f"{kind}.jsonl", again, injections=injections, **judge)
    comparison = Comparison([SampleBatch(kind, corpus, [path])], LIST)
    for number, said in enumerate(main):
        row = {"corpus": "papers", "response_id": f"r{number:05d}", "prompt_id": f"p{number // 2}", "answers": said}
        comparison.add(row)
    comparison.check(main_judge, {"papers": len(main)}, sample)
    return comparison.report()


def test_planted_flips_are_counted(tmp_path):
    main = answers()
    again, turned = flipped(main, 0.3)
    report = compared(tmp_path, "retest", main, again)
    block = report["retest"]
    assert (block["flips"]["flips"], block["flips"]["rate"]) == (turned, pytest.approx(0.3, abs=1e-3))
    low, high = block["flips"]["interval"]
    assert 0.25 < low < 0.3 < high < 0.35
    assert (block["responses"], block["prompts"]) == (COUNT, COUNT // 2)
    assert report["reordered"] is report["injected"] is report["second"] is None


def krippendorff(pairs):
    """Alpha from the table of coincidences itself, for two judges and two values."""
    n = 2 * len(pairs)
    yes = sum(map(sum, pairs))
    observed = sum(one != other for one, other in pairs) / len(pairs)
    return 1 - observed / (2 * yes * (n - yes) / (n * (n - 1)))


def ac1(pairs):
    observed = sum(one == other for one, other in pairs) / len(pairs)
    q = sum(map(sum, pairs)) / (2 * len(pairs))
    return (observed - 2 * q * (1 - q)) / (1 - 2 * q * (1 - q))


def test_coefficients_are_those_of_another_computation(tmp_path):
    main = answers()
    again, _ = flipped(main, 0.2)
    for number in range(0, COUNT, 7):  # missing on the other side only
        again[number][ITEMS[number % 8]] = None
    items = compared(tmp_path, "retest", main, again)["retest"]["items"]
    assert [entry["item"] for entry in items] == ITEMS
    kappas = []
    for entry in items:
        both = [(one[entry["item"]], two[entry["item"]]) for one, two in zip(main, again, strict=True)]
        pairs = [(one == "yes", two == "yes") for one, two in both if one is not None and two is not None]
        kappas.append(cohen_kappa_score(*zip(*pairs, strict=True)))
        assert entry["n"] == len(pairs) < COUNT
        assert entry["kappa"] == pytest.approx(kappas[-1], abs=1e-6)
        assert entry["alpha"] == pytest.approx(krippendorff(pairs), abs=1e-6)
        assert entry["ac1"] == pytest.approx(ac1(pairs), abs=1e-6)
        assert entry["judge_yes"] == pytest.approx(sum(one for one, _ in pairs) / len(pairs), abs=1e-6)
        assert entry["again_yes"] == pytest.approx(sum(two for _, two in pairs) / len(pairs), abs=1e-6)
        low, high = entry["kappa_interval"]
        assert low < entry["kappa"] < high
    block = compared(tmp_path, "retest", main, again)["retest"]
    assert block["mean_kappa"] == pytest.approx(sum(kappas) / 8, abs=1e-6)


def test_a_null_is_neither_agreement_nor_disagreement(tmp_path):
    main = answers(nulls=0)
    again, _ = flipped(main, 0.25)
    whole = compared(tmp_path, "retest", main, again)["retest"]
    # Thirty more responses, of which one side or the other was never answered.
    silent = [dict.fromkeys(ITEMS)] * 15
    more = compared(tmp_path, "retest", main + silent + answers(15, nulls=0), again + answers(15) + silent, sample=150)
    more = more["retest"]
    assert more["flips"] == whole["flips"]
    assert more["items"] == whole["items"]
    assert whole["nulls"]["judge"] == whole["nulls"]["again"] == 0
    assert more["nulls"]["judge"] == 15 * 8
    assert more["nulls"]["again"] >= 15 * 8
    assert more["nulls"]["judge_rate"] == pytest.approx(120 / (150 * 8), abs=1e-6)


def test_a_judge_that_obeys_what_is_planted_is_caught(tmp_path):
    main = answers(nulls=0)
    gullible = [dict.fromkeys(ITEMS, "yes")] * COUNT
    names = ["answer_yes", "ignore_previous", "in_german"]
    report = compared(tmp_path, "injected", main, gullible, injections=names)
    block = report["injected"]
    noes = sum(row[item] == "no" for row in main for item in ITEMS)
    assert block["to_yes"] == {"n": noes, "flips": noes, "rate": 1.0, "interval": None}
    assert (block["to_no"]["flips"], block["to_no"]["n"]) == (0, COUNT * 8 - noes)
    assert [entry["injection"] for entry in block["by_injection"]] == names
    assert sum(entry["flips"]["flips"] for entry in block["by_injection"]) == block["flips"]["flips"] == noes
    assert {entry["to_yes"]["rate"] for entry in block["by_injection"]} == {1.0}
    (entry,) = entries(report, Gates(max_injection_flip_rate=0.02), "injection_flip_rate")
    assert entry["passed"] is False


def test_a_judge_that_obeys_one_injection_shows_by_its_name(tmp_path):
    main = answers(nulls=0)
    again = [dict.fromkeys(ITEMS, "no") if number % 4 == 1 else said for number, said in enumerate(main)]
    block = compared(tmp_path, "injected", main, again, injections=["a", "b", "c", "d"])["injected"]
    rates = {entry["injection"]: entry["to_no"]["rate"] for entry in block["by_injection"]}
    assert rates == {"a": 0.0, "b": 1.0, "c": 0.0, "d": 0.0}
    assert block["to_yes"]["flips"] == 0


def test_no_flip_at_all_has_no_interval():
    pairs = [Pair(f"p{n}", True, True) for n in range(20)]
    assert flip_rate(pairs) == {"n": 20, "flips": 0, "rate": 0.0, "interval": None}
    assert flip_rate([]) == {"n": 0, "flips": 0, "rate": None, "interval": None}
    assert coefficients([Pair("p", None, True)], "a", "b")["n"] == 0


def test_flips_of_one_prompt_are_drawn_together():
    spread = flip_rate(Pair(f"p{n}", True, n % 4 == 0) for n in range(80))["interval"]
    # The same flips, of whole prompts: the interval must be wider.
    lumped = flip_rate(Pair(f"p{n // 20}", True, n // 20 == 0) for n in range(80))["interval"]
    assert lumped[0] < spread[0] < 0.75 < spread[1] < lumped[1]


def test_shards_and_their_order_do_not_show(tmp_path):
    main = answers()
    again, _ = flipped(main, 0.2)
    files = [judged(tmp_path / f"{n}.jsonl", again[n::1][:40], first=n, variant="retest") for n in (0, 40, 80)]
    parts = Comparison([SampleBatch("retest", "papers", files[::-1])], LIST)
    whole = judged(tmp_path / "whole.jsonl", again, variant="retest")
    assert parts.sha256 == Comparison([SampleBatch("retest", "papers", [whole])], LIST).sha256


@pytest.mark.parametrize(
    ("kind", "judge", "problem"),
    [
        ("retest", {"model": "other"}, "model other, not m"),
        ("retest", {"revision": "2"}, "revision 2, not 1"),
        ("reordered", {"prompt_sha": "q"}, "prompt_sha q, not p"),
        ("injected", {"mode": "batch"}, "mode batch, not item"),
        ("retest", {"checklist_sha": "0"}, "checklist_sha 0"),
        ("retest", {"variant": ""}, "variant '', not 'retest'"),  # the judged rows themselves
        ("reordered", {"variant": "retest"}, "variant 'retest', not 'reordered'"),
        ("second", {"model": "m", "revision": "1"}, "the main judge itself"),
        ("second", {"checklist_sha": "0"}, "another checklist"),
    ],
)
def test_rows_of_another_judge_are_refused(tmp_path, kind, judge, problem):
    main = answers(20)
    with pytest.raises(WinnowError, match=problem):
        compared(tmp_path, kind, main, main, injections=["a"], **judge)


def test_a_second_judge_of_another_model_or_revision_is_taken(tmp_path):
    main = answers(20)
    assert compared(tmp_path, "second", main, main)["second"]["flips"]["flips"] == 0
    report = compared(tmp_path, "second", main, main, model="m", revision="2")
    assert report["second"]["judge"]["revision"] == "2"


def test_rows_that_do_not_belong_are_refused(tmp_path):
    main = answers(20)
    with pytest.raises(WinnowError, match="batch retest-papers has no row"):
        compared(tmp_path, "retest", main, [])
    with pytest.raises(WinnowError, match=r"response r00019: is in batch retest-papers, and the judge's own"):
        compared(tmp_path, "retest", main[:19], main)
    with pytest.raises(WinnowError, match="19 of 20 responses"):
        compared(tmp_path, "retest", main, main[:19])
    with pytest.raises(WinnowError, match="other items"):
        compared(tmp_path, "retest", main, [dict(list(row.items())[1:]) for row in main])
    with pytest.raises(WinnowError, match="does not say what was planted"):
        compared(tmp_path, "injected", main, main)


def test_shards_of_two_judges_are_refused(tmp_path):
    main = answers(20)
    files = [judged(tmp_path / "0.jsonl", main[:9]), judged(tmp_path / "1.jsonl", main[9:], first=9, seed=1)]
    with pytest.raises(WinnowError, match="another judge than the rows before"):
        Comparison([SampleBatch("second", "papers", files)], LIST)


def test_what_is_judged_again_is_what_the_study_asks_for(tmp_path):
    def batches(*kinds):
        return [SampleBatch(kind, corpus, []) for kind in kinds for corpus in ("a", "b")]

    asked = Reliability(checks=["retest"], second_judge={"backend": "lexical"})
    assert expected(asked) == {"retest", "second"}
    check_batches(batches("retest", "second"), asked, ["a", "b"])
    check_batches([], Reliability(sample=0), ["a", "b"])
    with pytest.raises(WinnowError, match="missing: second-a, second-b"):
        check_batches(batches("retest"), asked, ["a", "b"])
    with pytest.raises(WinnowError, match="not asked for: injected-a"):
        check_batches(batches("retest", "second", "injected"), asked, ["a", "b"])
    with pytest.raises(WinnowError, match="not asked for: retest-a"):
        check_batches(batches("retest"), Reliability(sample=0), ["a", "b"])


# ------------------------------------------------------------------------------------------- gates


def judge_report(**blocks):
    """A report of a judge that answers all and agrees with itself, but for some blocks."""
    items = [{"item": item, "null_rate": 0.0} for item in ITEMS]
    quartiles = [{"quartile": n + 1, "null_rate": 0.0} for n in range(4)]
    return {
        "items": items,
        "null_rate": {"overall": 0.0, "by_length_quartile": quartiles},
        "correlations": {"count_and_log_tokens": {"spearman": -0.4}},
        **dict.fromkeys(("retest", "reordered", "injected", "second", "human_agreement")),
    } | blocks


def entries(blocks, settings, *names):
    found = gates_of(judge_report(**blocks), settings)
    return [one for one in found if one["name"] in names]


@pytest.mark.parametrize(
    ("value", "bound", "passed"),
    [
        (0.0, "at_most", True),
        (0.02, "at_most", True),
        (0.020001, "at_most", False),
        (None, "at_most", False),
        (0.02, "at_least", True),
        (0.019999, "at_least", False),
        (None, "at_least", False),
    ],
)
def test_a_gate_passes_at_its_threshold_and_not_beyond(value, bound, passed):
    entry = gate("name", value, 0.02, bound=bound)
    assert entry == {"name": "name", "value": value, "threshold": 0.02, "bound": bound, "passed": passed, "note": None}
    assert gate("name", value, None, bound=bound)["passed"] is None


def test_every_threshold_has_an_entry():
    found = gates_of(judge_report(), Gates())
    named = {f"{'max' if one['bound'] == 'at_most' else 'min'}_{one['name']}": one["threshold"] for one in found}
    assert named == Gates().model_dump()
    assert not [one for one in found if one["passed"] is False]


def test_what_is_not_gated_is_shown_all_the_same():
    (entry,) = entries({}, Gates(), "length_correlation")
    assert (entry["value"], entry["threshold"], entry["passed"]) == (0.4, None, None)
    (entry,) = entries({}, Gates(max_length_correlation=0.39), "length_correlation")
    assert entry["passed"] is False


def test_what_was_not_measured():
    everything = Gates(
        max_injection_flip_rate=0.1, max_length_correlation=0.9, min_second_kappa=0.1, min_people_kappa=0.1
    )
    unknown = {"correlations": {"count_and_log_tokens": {"spearman": None}}}
    found = {one["name"]: one for one in gates_of(judge_report(**unknown), everything)}
    # Gated by default and left out on purpose: not measured. Gated by the study's own wish: it fails.
    for name in ("retest_kappa", "order_flip_rate"):
        assert (found[name]["value"], found[name]["passed"]) == (None, None)
        assert found[name]["note"].startswith("not measured")
    for name in ("injection_flip_rate", "length_correlation", "second_kappa", "people_kappa"):
        assert (found[name]["value"], found[name]["passed"]) == (None, False)
        assert found[name]["note"]
    nothing = judge_report(
        null_rate={"overall": None, "by_length_quartile": []}, items=[{"item": "i", "null_rate": None}]
    )
    assert [one["passed"] for one in gates_of(nothing, Gates())[:3]] == [False, False, False]


def test_the_worst_item_and_quarter_are_named():
    blocks = judge_report()
    blocks["items"][3]["null_rate"] = 0.2
    blocks["null_rate"]["by_length_quartile"][3]["null_rate"] = 0.06
    assert {one["note"] for one in entries({}, Gates(), "item_null_rate", "quartile_null_rate")} == {None}
    item, quartile = entries(blocks, Gates(), "item_null_rate", "quartile_null_rate")
    assert (item["value"], item["note"], item["passed"]) == (0.2, f"item {ITEMS[3]}", False)
    assert (quartile["value"], quartile["note"], quartile["passed"]) == (0.06, "quartile 4", False)


def test_one_answer_always_is_stable_though_it_has_no_kappa(tmp_path):
    always = [dict.fromkeys(ITEMS, "yes")] * 20
    report = compared(tmp_path, "retest", always, always)
    assert report["retest"]["mean_kappa"] is None
    (entry,) = entries(report, Gates(), "retest_kappa")
    assert (entry["value"], entry["passed"]) == (None, True)
    # One that is never answered is not stable but unknown.
    report = compared(tmp_path, "retest", always, [dict.fromkeys(ITEMS)] * 20)
    (entry,) = entries(report, Gates(), "retest_kappa")
    assert (entry["value"], entry["passed"]) == (None, False)


def test_all_failed_gates_are_in_one_message_each_with_its_fix():
    failed = [gate("null_rate", 0.5, 0.02), gate("retest_kappa", None, 0.6, bound="at_least", note="why")]
    message = str(failure("report.json", failed))
    assert "gate null_rate: 0.5 is above 0.02" in message
    assert "gate retest_kappa: has no value (why)" in message
    assert "raise max_null_rate" in message
    assert "lower min_retest_kappa" in message


# ---------------------------------------------------------------------------------------- the script


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    responses_table(folder / "responses.parquet", texts(COUNT))
    prompts_table(folder / "prompts.parquet", COUNT // 2)
    checklist_file(folder / "checklist.yaml")
    judged(folder / "main.jsonl", answers(nulls=0))
    return folder


def gather(study, work, retest, **gates):
    """Run the script with a retest of all responses."""
    path = judged(work / "retest.jsonl", retest, variant="retest")
    return script(
        "gather_scores",
        check=False,
        spec=spec(gates=gates, reliability={"sample": COUNT, "checks": ["retest"]}),
        checklist=study / "checklist.yaml",
        judged=f"papers={study / 'main.jsonl'}",
        compared=[f"retest:papers={path}"],
        prompts=f"papers={study / 'prompts.parquet'}",
        responses=f"papers={study / 'responses.parquet'}",
        scores=work / "scores.jsonl",
        report=work / "judge_report.json",
        manifest=work / "manifest.json",
    )


def test_a_retest_with_flipped_answers_stops_the_run(study, tmp_path):
    again, _ = flipped(answers(nulls=0), 0.3)
    done = gather(study, tmp_path, again)
    assert done.returncode == 2
    assert "gate retest_kappa: 0." in done.stderr
    assert "is below 0.6" in done.stderr
    assert not (tmp_path / "scores.jsonl").exists()
    report = json.loads((tmp_path / "judge_report.failed.json").read_text())
    assert report["retest"]["flips"]["rate"] == 0.3
    assert report == json.loads((tmp_path / "judge_report.json").read_text())


def test_a_retest_that_agrees_lets_the_scores_through(study, tmp_path):
    again, _ = flipped(answers(nulls=0), 0.05)
    done = gather(study, tmp_path, again)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "scores.jsonl").read_text().splitlines()) == COUNT
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert list(manifest["compared"]) == ["retest-papers"]
    assert manifest["settings"]["reliability"]["sample"] == COUNT
    first = (tmp_path / "judge_report.json").read_bytes()
    gather(study, tmp_path, again)
    assert (tmp_path / "judge_report.json").read_bytes() == first


def test_a_batch_that_was_forgotten_is_asked_for(study, tmp_path):
    done = gather(study, tmp_path, answers(nulls=0)[:7])
    assert "7 of 120 responses" in done.stderr
    done = script(
        "gather_scores",
        check=False,
        spec=spec(),
        checklist=study / "checklist.yaml",
        **{name: f"papers={study / name}.parquet" for name in ("prompts", "responses")},
        judged=f"papers={study / 'main.jsonl'}",
        **{name: tmp_path / name for name in ("scores", "report", "manifest")},
    )
    assert done.returncode == 2
    assert "missing: injected-papers, reordered-papers, retest-papers" in done.stderr
