"""optimize_checklist from files to files: which rows may occur, how labels are made, and what is written when."""

import itertools
import json

import numpy as np
import pytest
import yaml
from sklearn.metrics import cohen_kappa_score

from scoring_fixtures import script
from winnow.core.errors import WinnowError
from winnow.core.files import read_json
from winnow.core.ids import canonical_json
from winnow.core.tables import PROMPTS, RESPONSES, SPLITS, write_table
from winnow.scoring.checklist import load_checklist
from winnow.scoring.lexical import Lexical
from winnow.scoring.optimization.reading import Files, join, read_labels

ITEMS = 12
SCALE = [1.0, 3.0, 5.0, 6.0, 8.0, 10.0]  # its middle is 5.5, which is no rating


@pytest.fixture
def checklist(tmp_path):
    questions = [
        {
            "id": f"i{n:02d}",
            "category": "made",
            "text": chr(0x4E00 + n) * 12 + "?",
            "source": "a guideline",
            "cues": [rf"\bw{n}\b"],
            "cues_against": [rf"\bno w{n}\b"],
            "min_hits": 2,
            "aspect": "NOV",
        }
        for n in range(ITEMS)
    ]
    path = tmp_path / "candidates.yaml"
    path.write_text(yaml.safe_dump({"version": 3, "questions": questions}))
    return path


class Corpus:
    """A corpus on disk: `papers` papers with three responses each; every second one was accepted."""

    def __init__(self, folder, checklist, name="iclr", papers=60, seed=0, informative=True):
        self.folder, self.name, self.checklist = folder / name, name, load_checklist(checklist)
        generator = np.random.default_rng(seed)
        ids = [f"p{n:03d}" for n in range(papers)]
        self.prompts = {i: "accept" if n % 2 else "reject" for n, i in enumerate(ids)}
        self.splits = {i: ("train", True, i) for i in ids}
        self.rows, self.judged = {}, {}
        for prompt in ids:
            for number in range(3):
                good = generator.random() < 0.5
                above = (self.prompts[prompt] == "accept") == good
                rating = generator.choice([6.0, 8.0, 10.0] if above else [1.0, 3.0, 5.0])
                name = f"{prompt}-{number}"
                self.rows[name] = (prompt, float(rating), SCALE)
                chance = (0.7 if good else 0.3) if informative else 0.5
                self.judged[name] = {
                    item.id: "yes" if generator.random() < chance else "no" for item in self.checklist.questions
                }

    def judged_row(self, name, prompt=None, **judge):
        stamp = {"model": "stub", "checklist_sha": self.checklist.sha256} | judge
        answers = self.judged[name]
        row = {"response_id": name, "prompt_id": prompt or self.rows[name][0], "answers": answers, "judge": stamp}
        return canonical_json(row | {"key": "k", "n_tokens": 100 + 13 * int(name[1:4]) % 50})

    def write(self, shards=2, order=sorted):
        self.folder.mkdir(exist_ok=True)
        prompts = (dict.fromkeys(PROMPTS.names) | {"prompt_id": i, "decision": d} for i, d in self.prompts.items())
        write_table(self.folder / "prompts.parquet", prompts, PROMPTS, ["prompt_id"])
        responses = (
            dict.fromkeys(RESPONSES.names) | {"response_id": i, "prompt_id": p, "rating": r, "rating_scale": s}
            for i, (p, r, s) in self.rows.items()
        )
        write_table(self.folder / "responses.parquet", responses, RESPONSES, ["response_id"])
        splits = ({"prompt_id": i, "split": s, "optimize": o, "group_id": g} for i, (s, o, g) in self.splits.items())
        write_table(self.folder / "splits.parquet", splits, SPLITS, ["prompt_id"])
        names = list(order(self.judged))
        paths = [self.folder / f"{shard}-of-{shards}.jsonl" for shard in range(shards)]
        for shard, path in enumerate(paths):
            path.write_text("".join(self.judged_row(name) + "\n" for name in names[shard::shards]))
        return self.files(paths)

    def files(self, judged, retests=()):
        tables = {kind: self.folder / f"{kind}.parquet" for kind in ("prompts", "responses", "splits")}
        return Files(name=self.name, judged=judged, retests=retests, **tables)


def run(folder, checklist, *corpora, check=True, out="out", sheet=None, **settings):
    named = {}
    for kind in ("prompts", "responses", "splits"):
        named[kind] = [f"{c.name}={getattr(c, kind)}" for c in corpora]
    named["judged"] = [f"{c.name}={path}" for c in corpora for path in c.judged]
    if any(c.retests for c in corpora):
        named["retests"] = [f"{c.name}={path}" for c in corpora for path in c.retests]
    if sheet:
        named["labels"] = sheet
    target = folder / out
    return script(
        "optimize_checklist",
        check=check,
        spec=json.dumps({"bootstraps": 3, "random_subsets": 10} | settings),
        checklist=checklist,
        out=target / "optimal_checklist.json",
        trace=target / "beam_search_trace.jsonl",
        manifest=target / "manifest.json",
        **named,
    )


def test_the_chosen_file_is_a_checklist_that_the_lexical_judge_can_use(tmp_path, checklist):
    done = run(tmp_path, checklist, Corpus(tmp_path, checklist).write())
    found = read_json(tmp_path / "out" / "optimal_checklist.json")
    assert found["status"] == "validated"
    assert "VALIDATED: " in done.stderr
    chosen = load_checklist(tmp_path / "out" / "optimal_checklist.json")
    by_id = {item.id: item for item in load_checklist(checklist).questions}
    assert [by_id[item.id] for item in chosen.questions] == list(chosen.questions)
    assert (chosen.version, len(chosen.questions)) == (3, found["K"])
    judged = Lexical().judge(["This is the review of it all, and w0 is in it with w0 to the end."], chosen.questions)
    assert set(judged[0].answers.values()) <= {"yes", "no"}
    manifest = read_json(tmp_path / "out" / "manifest.json")
    assert manifest["counts"]["responses"] == {"read": 180, "kept": 180, "dropped": {}, "notes": {}}
    assert manifest["status"] == "validated"
    trace = [json.loads(line) for line in (tmp_path / "out" / "beam_search_trace.jsonl").read_text().splitlines()]
    assert trace[found["K"] - 1]["items"] == [item.id for item in chosen.questions]


def test_shards_order_and_a_second_run_give_the_same_bytes(tmp_path, checklist):
    corpus = Corpus(tmp_path, checklist)
    outputs = ("optimal_checklist.json", "beam_search_trace.jsonl", "manifest.json")
    run(tmp_path, checklist, corpus.write(shards=3))
    first = [(tmp_path / "out" / name).read_bytes() for name in outputs]
    run(tmp_path, checklist, corpus.write(shards=1, order=lambda names: sorted(names, reverse=True)), out="again")
    assert [(tmp_path / "again" / name).read_bytes() for name in outputs] == first


def test_strict_stops_and_leaves_the_twin(tmp_path, checklist):
    noise = Corpus(tmp_path, checklist, informative=False, seed=1).write()
    run(tmp_path, checklist, noise)  # loud, and no more
    twin = tmp_path / "out" / "optimal_checklist.failed.json"
    assert not twin.exists()
    done = run(tmp_path, checklist, noise, check=False, strict=True)
    assert done.returncode == 3
    assert "NOT BETTER THAN CHANCE" in done.stderr
    assert "Traceback" not in done.stderr
    assert twin.read_bytes() == (tmp_path / "out" / "optimal_checklist.json").read_bytes()
    assert read_json(twin)["status"] == "not_better_than_chance"
    assert not (tmp_path / "out" / "manifest.json").exists()
    run(tmp_path, checklist, Corpus(tmp_path, checklist, name="good").write(), strict=True)
    assert not twin.exists()


def test_two_corpora_are_pooled_with_their_ids_apart(tmp_path, checklist):
    one, two = (Corpus(tmp_path, checklist, name=name, seed=seed) for seed, name in enumerate(("a", "b")))
    joined = join([one.write(), two.write()], load_checklist(checklist), "alignment")
    matrix = joined.matrix(load_checklist(checklist))
    assert len(set(matrix.ids)) == 360
    assert len(matrix.group_names) == 120
    assert matrix.ids[0] == "a/p000-0"
    run(tmp_path, checklist, one.write(), two.write())
    assert read_json(tmp_path / "out" / "optimal_checklist.json")["data"]["n_papers"] == 120


def refused(files, checklist, target="alignment", labels=None):
    with pytest.raises(WinnowError) as error:
        join([files], load_checklist(checklist), target, labels)
    return str(error.value)


@pytest.mark.parametrize(
    ("split", "said"),
    [
        (("test", False, "p004"), "in test, optimize False"),
        (("val", False, "p004"), "in val, optimize False"),
        (("train", False, "p004"), "in train, optimize False"),
        (("test", True, "p004"), "in test, optimize True"),
    ],
)
def test_a_response_of_another_part_is_refused_and_named(tmp_path, checklist, split, said):
    corpus = Corpus(tmp_path, checklist)
    corpus.splits["p004"] = split
    message = refused(corpus.write(), checklist)
    assert "prompt p004" in message
    assert said in message


def test_the_script_refuses_a_test_paper(tmp_path, checklist):
    corpus = Corpus(tmp_path, checklist)
    corpus.splits["p004"] = ("test", False, "p004")
    done = run(tmp_path, checklist, corpus.write(), check=False)
    assert done.returncode == 2
    assert "p004" in done.stderr
    assert not (tmp_path / "out" / "optimal_checklist.json").exists()


def test_a_retest_of_another_part_is_refused_too(tmp_path, checklist):
    corpus = Corpus(tmp_path, checklist)
    files = corpus.write()
    (tmp_path / "again.jsonl").write_text(corpus.judged_row("p001-0", prompt="p999") + "\n")
    assert "prompt p999, which is in no split" in refused(
        corpus.files(files.judged, [tmp_path / "again.jsonl"]), checklist
    )


def test_a_retest_by_another_judge_is_refused(tmp_path, checklist):
    corpus = Corpus(tmp_path, checklist)
    files = corpus.write()
    (tmp_path / "again.jsonl").write_text(corpus.judged_row("p001-0", model="other") + "\n")
    assert "p001-0 was judged again by another" in refused(
        corpus.files(files.judged, [tmp_path / "again.jsonl"]), checklist
    )


def test_damaged_shards_are_refused(tmp_path, checklist):
    corpus = Corpus(tmp_path, checklist)
    files = corpus.write(shards=1)
    path, good = files.judged[0], files.judged[0].read_text()
    path.write_text(good + corpus.judged_row("p000-0") + "\n")
    assert "p000-0 occurs twice" in refused(files, checklist)
    path.write_text(good[:-30])
    assert "line 180: is not a judged row" in refused(files, checklist)
    path.write_text(good.replace('"model":"stub"', '"model":"other"', 1))
    assert "another judge" in refused(files, checklist)
    path.write_text(good.replace(corpus.checklist.sha256, "0" * 64, 1))
    assert "another checklist" in refused(files, checklist)
    corpus.judged["p000-9"] = corpus.judged["p000-0"]
    path.write_text(good + corpus.judged_row("p000-9", prompt="p000") + "\n")
    assert "p000-9 is not in responses.parquet" in refused(files, checklist)


def test_what_has_no_label_is_left_out_and_counted(tmp_path, checklist):
    corpus = Corpus(tmp_path, checklist)
    corpus.prompts |= {"p000": None, "p001": "workshop", "p002": "withdrawn"}
    corpus.rows["p003-0"] = ("p003", None, SCALE)
    corpus.rows["p003-1"] = ("p003", 6.0, None)
    del corpus.judged["p003-2"]
    corpus.rows["q"], corpus.prompts["val"], corpus.splits["val"] = ("val", 6.0, SCALE), "accept", ("val", False, "val")
    files = corpus.write()
    assert join([files], load_checklist(checklist), "alignment").tally.as_dict() == {
        "read": 180,
        "kept": 168,
        "dropped": {
            "not judged by the candidates": 1,
            "paper neither accepted nor rejected (no decision)": 3,
            "paper neither accepted nor rejected (withdrawn)": 3,
            "paper neither accepted nor rejected (workshop)": 3,
            "without a rating on a scale": 2,
        },
        "notes": {},
    }
    # A decision is the paper's, and needs no rating.
    assert join([files], load_checklist(checklist), "decision").tally.kept == 170


def labels_of(files, checklist, target, labels=None):
    return {row.id: row.label for row in join([files], load_checklist(checklist), target, labels).rows}


@pytest.mark.parametrize(
    ("rating", "scale", "decision", "label"),
    [
        (6.0, SCALE, "accept", True),
        (5.0, SCALE, "accept", False),
        (6.0, SCALE, "reject", False),
        (5.0, SCALE, "reject", True),
        (3.0, [1.0, 2.0, 3.0, 4.0, 5.0], "accept", False),  # exactly in the middle is not above it
        (3.0, [1.0, 2.0, 3.0, 4.0, 5.0], "reject", True),
        (4.0, [1.0, 2.0, 3.0, 4.0, 5.0], "accept", True),  # the middle is of its own scale
        (4.0, SCALE, "accept", False),
    ],
)
def test_alignment(tmp_path, checklist, rating, scale, decision, label):
    corpus = Corpus(tmp_path, checklist, papers=10)
    corpus.rows["p001-0"], corpus.prompts["p001"] = ("p001", rating, scale), decision
    files = corpus.write()
    assert labels_of(files, checklist, "alignment")["iclr/p001-0"] is label
    assert labels_of(files, checklist, "decision")["iclr/p001-0"] is (decision == "accept")


def test_near_duplicate_papers_are_one_group(tmp_path, checklist):
    corpus = Corpus(tmp_path, checklist, papers=10)
    corpus.splits["p007"] = ("train", True, "p003")
    matrix = join([corpus.write()], load_checklist(checklist), "decision").matrix(corpus.checklist)
    assert len(matrix.group_names) == 9
    assert len(set(matrix.papers)) == 10
    place = [matrix.groups[matrix.ids.index(f"iclr/{name}")] for name in ("p003-0", "p007-2", "p004-0")]
    assert place[0] == place[1] != place[2]


def test_a_sample_judged_again_gives_kappas(tmp_path, checklist):
    corpus = Corpus(tmp_path, checklist)
    files = corpus.write()
    again = Corpus(tmp_path, checklist)
    for answers in again.judged.values():
        answers["i00"] = "yes" if answers["i03"] == answers["i05"] else "no"  # nothing to do with the first
        answers["i02"] = None if answers["i02"] == "yes" else "no"
    rows = [again.judged_row(name, variant="retest") for name in sorted(again.judged)[:90]]
    (tmp_path / "again.jsonl").write_text("\n".join(rows) + "\n")
    run(tmp_path, checklist, corpus.files(files.judged, [tmp_path / "again.jsonl"]))
    found = read_json(tmp_path / "out" / "optimal_checklist.json")
    assert [one["id"] for one in found["dropped"]] == ["i00"]
    assert "retest kappa" in found["dropped"][0]["reason"]
    assert found["data"]["n_retested"] == 90
    kappas = {one["id"]: one["stats"]["kappa"] for part in ("questions", "not_chosen") for one in found[part]}
    assert kappas["i01"] == 1.0
    assert kappas["i02"] is None  # all that both answered is no: nothing can be said


def test_two_retests_give_the_kappa_of_all_three_pairs(tmp_path, checklist):
    corpus = Corpus(tmp_path, checklist)
    files = corpus.write()
    names = sorted(corpus.judged)[:90]
    paths, answers = [], [[corpus.judged[name]["i04"] for name in names]]
    for number, variant in enumerate(("retest", "retest2")):
        again = Corpus(tmp_path, checklist)
        for name in names[number::7]:
            again.judged[name]["i04"] = "no" if again.judged[name]["i04"] == "yes" else "yes"
        paths.append(tmp_path / f"{variant}.jsonl")
        paths[-1].write_text("".join(again.judged_row(name, variant=variant) + "\n" for name in names))
        answers.append([again.judged[name]["i04"] for name in names])
    run(tmp_path, checklist, corpus.files(files.judged, paths))
    found = read_json(tmp_path / "out" / "optimal_checklist.json")
    first, second = ([pair[side] for pair in itertools.combinations(answers, 2)] for side in (0, 1))
    expected = cohen_kappa_score(list(itertools.chain(*first)), list(itertools.chain(*second)))
    kappas = {one["id"]: one["stats"]["kappa"] for part in ("questions", "not_chosen") for one in found[part]}
    assert kappas["i04"] == pytest.approx(expected, abs=1e-6)
    assert found["data"]["n_retested"] == 90


def test_labels_by_people(tmp_path, checklist):
    corpus = Corpus(tmp_path, checklist)
    files = corpus.write()
    lines = [f"{name},{int(answers['i00'] == 'yes')},a note" for name, answers in sorted(corpus.judged.items())[:150]]
    sheet = tmp_path / "labels.csv"
    sheet.write_text("\ufeffresponse_id,label,note\n" + "\n".join(lines) + "\nunknown,1,\n")
    run(tmp_path, checklist, files, sheet=sheet, target="quality", labels=str(sheet))
    manifest = read_json(tmp_path / "out" / "manifest.json")
    assert manifest["counts"]["responses"] == {
        "read": 180,
        "kept": 150,
        "dropped": {"without a label": 30},
        "notes": {"labels of responses that were not judged, or are not of the optimize part": 1},
    }
    assert str(sheet) not in json.dumps(manifest)  # where it lies is nobody's business
    assert read_json(tmp_path / "out" / "optimal_checklist.json")["questions"][0]["id"] == "i00"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("response_id\nr\n", "no columns response_id and label"),
        ("response_id,label\nr,yes\n", "line 2: label is 'yes'"),
        ("response_id,label\nr,1\nr,0\n", "line 3: response r occurs twice"),
    ],
)
def test_a_bad_sheet_is_refused(tmp_path, text, said):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(WinnowError, match=said):
        read_labels(tmp_path / "labels.csv")


def test_a_label_that_could_be_of_two_responses_is_refused(tmp_path, checklist):
    both = [Corpus(tmp_path, checklist, name=name).write() for name in ("a", "b")]
    with pytest.raises(WinnowError, match="p000-0 is in several corpora"):
        join(both, load_checklist(checklist), "quality", {"p000-0": True})


def test_other_corpora_in_one_argument_than_in_another_are_refused(tmp_path, checklist):
    files = Corpus(tmp_path, checklist).write()
    other = Corpus(tmp_path, checklist, name="other").write()
    done = script(
        "optimize_checklist",
        check=False,
        spec="{}",
        checklist=checklist,
        judged=[f"iclr={path}" for path in files.judged],
        prompts=f"iclr={files.prompts}",
        responses=f"iclr={files.responses}",
        splits=f"other={other.splits}",
        out=tmp_path / "o.json",
        trace=tmp_path / "t.jsonl",
        manifest=tmp_path / "m.json",
    )
    assert done.returncode == 2
    assert "name the same corpora" in done.stderr
