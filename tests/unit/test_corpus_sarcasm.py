"""Labelled texts: equal and contradicting ones, rephrases, other corpora; and the numbers of the real files."""

import csv
import subprocess
import sys
from collections import Counter

import pytest

from corpus_fixtures import ingest
from real_data import REAL_DATA, needs_real_data
from winnow.core.config.corpora import IsarcasmCorpus, JsonlCorpus, SarcasmV2Corpus, Splits
from winnow.core.errors import WinnowError
from winnow.core.files import read_json
from winnow.core.ids import canonical_json
from winnow.core.tables import read_rows
from winnow.corpus.adapters import open_source
from winnow.corpus.duplicates import text_key
from winnow.corpus.ingest import Tables, build_tables
from winnow.corpus.splits import draw, split_prompts
from workflow import ROOT

TWEETS = ("", "tweet", "sarcastic", "rephrase", "sarcasm")


def write_csv(path, columns, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def posts(folder, **parts):
    """A corpus of posts, given by part as (class, id, text)."""
    for part, rows in parts.items():
        write_csv(folder / f"{part}-sarc-notsarc.csv", ("class", "id", "text"), rows)
    return SarcasmV2Corpus(adapter="sarcasm_v2", path=str(folder), parts=tuple(parts))


def tweets(folder, rows, **more):
    """A corpus of tweets, given as (number, tweet, sarcastic, rephrase)."""
    path = write_csv(folder / "train.En.csv", TWEETS, [(*row, "") for row in rows])
    return IsarcasmCorpus(adapter="isarcasm", path=str(path), **more)


def why(made, kind="prompt"):
    """Return id → (reason, detail) of the rejected records of one kind."""
    return {key: (row["reason"], row["detail"]) for key, row in made.rejected.items() if row["kind"] == kind}


def split_of(made, splits, words=6):
    out = made.files.prompts.with_name("splits.parquet")
    counts = split_prompts(made.files.prompts, splits, 0.8, out, words)
    return {row["prompt_id"]: row for row in read_rows(out)}, counts


def test_a_post_becomes_a_prompt_and_its_label_the_answer(tmp_path):
    given = [("sarc", 3, 'Oh, "great" &mdash; AT&T &a; &copy2 emoticonXRolleyes'), ("notsarc", 7, "  Fine.\r\nYes. ")]
    made = ingest(posts(tmp_path, GEN=given), tmp_path)
    found = {key: (row["body"], row["label"], row["source"], row["group"]) for key, row in made.prompts.items()}
    assert found == {
        "gen-3": ('Oh, "great" — AT&T &a; &copy2 emoticonXRolleyes', "sarcastic", "GEN", None),
        "gen-7": ("Fine.\nYes.", "not_sarcastic", "GEN", None),
    }
    answers = {row["prompt_id"]: (row["text"], row["author_kind"]) for row in made.responses.values()}
    assert answers == {"gen-3": ("Yes", "human"), "gen-7": ("No", "human")}
    assert set(made.responses) == {"gen-3-verdict", "gen-7-verdict"}
    assert made.counts["prompts"]["notes"] == {"html_entities": 1}


def test_other_words_for_the_labels(tmp_path):
    corpus = posts(tmp_path, HYP=[("sarc", 1, "So true."), ("notsarc", 2, "It is true.")])
    other = corpus.model_validate(corpus.model_dump() | {"answers": {"sarcastic": "sarcastic"}})
    assert {row["text"] for row in ingest(other, tmp_path).responses.values()} == {"sarcastic", "No"}
    with pytest.raises(ValueError, match="two different words"):
        corpus.model_validate(corpus.model_dump() | {"answers": {"sarcastic": "No"}})


def test_the_text_key_is_letters_and_digits():
    assert text_key("I can't, 2 of 3!") == text_key("i CANT 2OF3")
    assert text_key("Straße") == text_key("STRASSE")
    assert text_key("🙃") != text_key("🥰")
    assert text_key("a") != text_key("b")


def test_of_equal_posts_one_is_kept_and_of_contradicting_ones_none(tmp_path):
    made = ingest(
        posts(
            tmp_path,
            GEN=[
                ("sarc", 5, "Yeah, right!"),
                ("sarc", 2, "yeah right"),
                ("notsarc", 8, "Is that so?"),
                ("sarc", 9, "is that so"),
                ("notsarc", 10, "Is that: so?"),
                ("notsarc", 11, "Only once."),
                ("notsarc", 12, ""),
            ],
            HYP=[("sarc", 1, "YEAH RIGHT"), ("sarc", 2, "Only once"), ("sarc", 11, "Hyperbole.")],
        ),
        tmp_path,
    )
    assert set(made.prompts) == {"gen-2", "hyp-11"}
    assert why(made) == {
        "gen-5": ("duplicate text", "same text as gen-2"),
        "hyp-1": ("duplicate text", "same text as gen-2"),
        "gen-8": ("carries both labels", "gen-9 is sarcastic"),
        "gen-9": ("carries both labels", "gen-10 is not_sarcastic"),
        "gen-10": ("carries both labels", "gen-9 is sarcastic"),
        "gen-11": ("carries both labels", "hyp-2 is sarcastic"),
        "hyp-2": ("carries both labels", "gen-11 is not_sarcastic"),
        "gen-12": ("empty text", "no body"),
    }
    assert why(made, "response")["gen-5-verdict"] == ("prompt rejected: duplicate text", "gen-5")
    assert made.counts["prompts"]["dropped"] == {"carries both labels": 5, "duplicate text": 2, "empty text": 1}
    for kind in ("prompts", "responses"):
        counts = made.counts[kind]
        assert counts["read"] == 10 == counts["kept"] + sum(counts["dropped"].values())


def test_of_equal_posts_the_earlier_part_wins(tmp_path):
    rows = {"RQ": [("sarc", 9, "Yeah, right!")], "GEN": [("sarc", 1, "yeah right")]}
    assert set(ingest(posts(tmp_path, **rows), tmp_path).prompts) == {"rq-9"}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("sarcastic", 1, "x")], "row 2: key 'class' holds 'sarcastic'"),
        ([("sarc", "", "x")], "row 2: key 'id' is empty"),
        ([("sarc", 1, "x"), ("sarc", 1, "y")], "occurs a second time"),
    ],
)
def test_posts_that_cannot_be_read(tmp_path, rows, said):
    with pytest.raises(WinnowError, match=said):
        ingest(posts(tmp_path, GEN=rows), tmp_path)


def test_a_tweet_and_its_rephrase(tmp_path):
    rows = [
        (0, "Love\nthat for me @you https://t.co/x 🙃", 1, "I do not like that."),
        (1, "It rains &amp; rains.", 0, ""),
        (2, "", 0, ""),
        (3, "Lovely weather!", 1, "I do not like that"),
        (4, "lovely weather", 0, ""),
        (5, "How nice.", 1, ""),
    ]
    made = ingest(tweets(tmp_path, rows), tmp_path)
    found = {key: (row["body"], row["label"], row["source"], row["group"]) for key, row in made.prompts.items()}
    assert found == {
        "isarcasm-0": (rows[0][1], "sarcastic", "tweet", "isarcasm-0"),
        "isarcasm-0-rephrase": ("I do not like that.", "not_sarcastic", "rephrase", "isarcasm-0"),
        "isarcasm-1": ("It rains & rains.", "not_sarcastic", "tweet", None),
        "isarcasm-5": ("How nice.", "sarcastic", "tweet", None),
    }
    assert why(made) == {
        "isarcasm-2": ("empty text", "no body"),
        "isarcasm-3": ("carries both labels", "isarcasm-4 is not_sarcastic"),
        "isarcasm-3-rephrase": ("duplicate text", "same text as isarcasm-0-rephrase"),
        "isarcasm-4": ("carries both labels", "isarcasm-3 is sarcastic"),
    }
    assert made.responses["isarcasm-0-rephrase-verdict"]["text"] == "No"
    assert made.counts["prompts"]["notes"] == {"html_entities": 1, "sarcastic_without_rephrase": 1}
    without = ingest(tweets(tmp_path, rows, rephrases=False), tmp_path)
    assert set(without.prompts) == {"isarcasm-0", "isarcasm-1", "isarcasm-5"}
    assert {row["group"] for row in without.prompts.values()} == {None}


@pytest.mark.parametrize(
    ("row", "said"), [((0, "x", "yes", ""), "holds 'yes'"), (("", "x", 0, ""), "has no number in its first column")]
)
def test_tweets_that_cannot_be_read(tmp_path, row, said):
    with pytest.raises(WinnowError, match=said):
        ingest(tweets(tmp_path, [row]), tmp_path)


def test_a_tweet_and_its_rephrase_stay_together_where_their_hashes_do_not(tmp_path):
    splits = Splits(val=0.3, test=0.3)
    number = next(n for n in range(99) if draw(f"isarcasm-{n}", splits) != draw(f"isarcasm-{n}-rephrase", splits))
    made = ingest(tweets(tmp_path, [(number, "Oh how very lovely.", 1, "I hate it.")]), tmp_path)
    rows, counts = split_of(made, splits)
    tweet, rephrase = rows[f"isarcasm-{number}"], rows[f"isarcasm-{number}-rephrase"]
    assert tweet["split"] == rephrase["split"] == draw(f"isarcasm-{number}", splits)
    assert tweet["group_id"] == rephrase["group_id"] == f"isarcasm-{number}"
    assert counts["joins"]["named group"] == 1


def test_a_rephrase_outlives_its_tweet(tmp_path):
    """Its group is then named by a record that was rejected, which a split must bear."""
    rows = [(1, "Lovely!", 1, "I hate it."), (2, "lovely", 0, "")]
    made = ingest(tweets(tmp_path, rows), tmp_path)
    assert {key: row["group"] for key, row in made.prompts.items()} == {"isarcasm-1-rephrase": "isarcasm-1"}
    rows, _ = split_of(made, Splits())
    assert rows["isarcasm-1-rephrase"]["group_id"] == "isarcasm-1-rephrase"


def test_short_posts_that_are_alike_share_a_group(tmp_path):
    """Eight words and nine have 6 of 7 triples in common; at the default for papers only equality would count."""
    text = "Not a cloud in the sky today either."
    made = ingest(posts(tmp_path, GEN=[("sarc", 1, text), ("sarc", 2, f"{text} emoticonXGood")]), tmp_path)
    for words, groups in ((6, {"gen-1"}), (9, {"gen-1", "gen-2"}), (18, {"gen-1", "gen-2"})):
        assert {row["group_id"] for row in split_of(made, Splits(), words)[0].values()} == groups
    assert (SarcasmV2Corpus.model_fields["near_duplicate_words"].default) == 6


def run_ingest(folder, corpus, name, *excluded, check=True):
    out = folder / name
    command = [sys.executable, str(ROOT / "workflow_scripts/ingest.py"), "--corpus", name]
    command += ["--spec", canonical_json(corpus.model_dump(mode="json")), "--excluded", *excluded]
    for table in ("prompts", "responses", "rejected"):
        command += [f"--{table}", str(out / f"{table}.parquet")]
    command += ["--manifest", str(out / "manifest.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done


def test_what_another_corpus_has_is_left_out(tmp_path):
    """By the script: a corpus of posts, then one of tweets and one of any rows that exclude it."""
    gen = posts(tmp_path, GEN=[("sarc", 1, "Yeah, right!"), ("notsarc", 2, "Twice."), ("sarc", 3, "twice")])
    run_ingest(tmp_path, gen, "gen")
    more = {"exclude": ("gen",)}
    given = [(1, "YEAH RIGHT", 1, "No, I do not think so."), (2, "Twice!", 0, ""), (3, "Other.", 0, "")]
    own = f"gen={tmp_path}/gen/prompts.parquet"
    run_ingest(tmp_path, tweets(tmp_path, given, **more), "i", own)
    kept = [row["prompt_id"] for row in read_rows(tmp_path / "i/prompts.parquet")]
    # What GEN itself left out, since it carries both labels, is in no split of GEN.
    assert kept == ["isarcasm-1-rephrase", "isarcasm-2", "isarcasm-3"]
    rejected = {row["record_id"]: row for row in read_rows(tmp_path / "i/rejected.parquet")}
    assert (rejected["isarcasm-1"]["reason"], rejected["isarcasm-1"]["detail"]) == ("also in another corpus", "gen")
    assert rejected["isarcasm-1-verdict"]["reason"] == "prompt rejected: also in another corpus"
    manifest = read_json(tmp_path / "i/manifest.json")
    assert set(manifest["inputs"]) == {"tweets", "prompts of gen"}
    assert manifest["counts"]["prompts"]["dropped"] == {"also in another corpus": 1}

    write_csv(tmp_path / "rows.csv", ("prompt", "response"), [("(yeah) right", "a"), ("neither", "b")])
    least = {"min_prompt_chars": 1, "min_response_chars": 1}
    rows = JsonlCorpus(adapter="jsonl", path=str(tmp_path / "rows.csv"), **least, **more)
    run_ingest(tmp_path, rows, "rows", own)
    assert [row["body"] for row in read_rows(tmp_path / "rows/prompts.parquet")] == ["neither"]

    done = run_ingest(tmp_path, rows, "rows", check=False)
    assert done.returncode == 2
    assert "--excluded: names none, the corpus excludes gen" in done.stderr


# The real files.


def build(spec, folder, name, **others):
    """Ingest and split a corpus that may exclude others, given as name=Tables; return all that there is."""
    folder = folder / name
    tables = Tables(folder / "prompts.parquet", folder / "responses.parquet", folder / "rejected.parquet")
    paths = {other: files.prompts for other, files in others.items()}
    counts = build_tables(open_source(spec, name), spec, tables, paths)
    words = spec.near_duplicate_words
    out = folder / "splits.parquet"
    divided = split_prompts(tables.prompts, spec.splits, spec.near_duplicate_jaccard, out, words)
    labels = {row["prompt_id"]: row["label"] for row in read_rows(tables.prompts)}
    rows = list(read_rows(out))
    assert [row["prompt_id"] for row in rows] == list(labels)
    by_split = Counter((row["split"], labels[row["prompt_id"]]) for row in rows)
    return tables, counts, divided, by_split


EIGHTY_TWENTY = {"val": 0.08, "test": 0.2, "stratify": "label"}


@pytest.fixture(scope="module")
def gen(tmp_path_factory):
    path = str(REAL_DATA / "sarcasm_v2")
    spec = SarcasmV2Corpus(adapter="sarcasm_v2", path=path, parts=("GEN",), splits=EIGHTY_TWENTY)
    return build(spec, tmp_path_factory.mktemp("real"), "gen")


def check(counts, by_split, kept):
    """Every label has its exact shares, and all rows are accounted for."""
    assert sum(kept.values()) == counts["prompts"]["kept"] == by_split.total()
    for kind in ("prompts", "responses"):
        assert counts[kind]["read"] == counts[kind]["kept"] + sum(counts[kind]["dropped"].values())
        assert counts[kind]["kept"] == sum(kept.values())
    for label, count in kept.items():
        found = {split: by_split[split, label] for split in ("test", "val", "train")}
        test, val = round(0.2 * count), round(0.08 * count)
        assert found == {"test": test, "val": val, "train": count - test - val}


@needs_real_data
def test_the_5216_rows_of_gen(gen):
    _, counts, divided, by_split = gen
    assert counts["prompts"]["read"] == counts["responses"]["read"] == 5_216
    assert counts["prompts"]["dropped"] == {"carries both labels": 4, "duplicate text": 10}
    assert counts["prompts"]["notes"] == {"html_entities": 8}
    check(counts, by_split, {"sarcastic": 2_586, "not_sarcastic": 2_616})
    assert by_split["test", "sarcastic"] + by_split["test", "not_sarcastic"] == 1_040  # a fifth of 5,202
    assert divided["joins"]["similar text"] == 11


@needs_real_data
@pytest.mark.parametrize(
    ("part", "read", "dropped"),
    [("HYP", 933, {"also in another corpus": 46}), ("RQ", 1_376, {"also in another corpus": 299, "duplicate text": 1})],
)
def test_what_hyp_and_rq_share_with_gen_is_left_out(gen, tmp_path, part, read, dropped):
    path = str(REAL_DATA / "sarcasm_v2")
    spec = SarcasmV2Corpus(adapter="sarcasm_v2", path=path, parts=(part,), exclude=("gen",), splits=EIGHTY_TWENTY)
    tables, counts, _, by_split = build(spec, tmp_path, part.lower(), gen=gen[0])
    assert counts["prompts"]["read"] == read
    assert counts["prompts"]["dropped"] == dropped
    kept = Counter(row["label"] for row in read_rows(tables.prompts))
    check(counts, by_split, kept)
    keys = [{text_key(row["body"]) for row in read_rows(t.prompts)} for t in (tables, gen[0])]
    assert not keys[0] & keys[1]


@needs_real_data
def test_the_3468_rows_of_isarcasm(gen, tmp_path):
    path = str(REAL_DATA / "isarcasm_eval" / "train.En.csv")
    spec = IsarcasmCorpus(adapter="isarcasm", path=path, exclude=("gen",), splits=EIGHTY_TWENTY)
    tables, counts, divided, by_split = build(spec, tmp_path, "isarcasm", gen=gen[0])
    assert counts["prompts"]["read"] == counts["responses"]["read"] == 3_468 + 867
    # Of 11 groups of equal tweets 5 (12 tweets) carry both labels, 6 repeat one; 3 rephrases repeat another.
    assert counts["prompts"]["dropped"] == {"carries both labels": 12, "duplicate text": 9, "empty text": 1}
    rows = {row["prompt_id"]: row for row in read_rows(tables.prompts)}
    assert Counter((row["source"], row["label"]) for row in rows.values()) == {
        ("tweet", "sarcastic"): 862,
        ("tweet", "not_sarcastic"): 2_587,
        ("rephrase", "not_sarcastic"): 864,
    }
    check(counts, by_split, {"sarcastic": 862, "not_sarcastic": 3_451})
    splits = {row["prompt_id"]: row["split"] for row in read_rows(tables.prompts.with_name("splits.parquet"))}
    pairs = [(key, f"{key}-rephrase") for key in rows if f"{key}-rephrase" in rows]
    assert len(pairs) == divided["joins"]["named group"] == 859
    assert all(splits[tweet] == splits[rephrase] for tweet, rephrase in pairs)
