"""Shards, the cache and the rows: what is judged again and what is not, and that the rows never tell."""

import itertools
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_fixtures import StubJudge, checklist, responses_table, texts
from winnow.core.errors import WinnowError
from winnow.core.ids import sha256_text
from winnow.core.manifest import Tally
from winnow.core.tables import RESPONSES, read_rows
from winnow.scoring import judging
from winnow.scoring.cache import Cache, judge_key, row_key
from winnow.scoring.judge import Identity
from winnow.scoring.lexical import Lexical
from winnow.scoring.shards import draw, shard_rows, shard_size

LIST = checklist()


def rows(said):
    return [
        {"response_id": f"r{n}", "prompt_id": f"p{n // 2}", "text": text, "text_sha256": sha256_text(text)}
        for n, text in enumerate(said)
    ]


def judge_all(folder, said, judge, items=LIST, name="own.jsonl"):
    with Cache(folder / judge_key(judge.identity, items), name) as cache:
        return list(judging.judged_rows(rows(said), judge, items, cache, Tally()))


def test_a_row_has_what_was_agreed(tmp_path):
    (row,) = judge_all(tmp_path, ["a text, said to be short"], StubJudge())
    assert row == {
        "key": row_key(sha256_text("a text, said to be short"), StubJudge().identity, LIST),
        "response_id": "r0",
        "prompt_id": "p0",
        "answers": dict.fromkeys((item.id for item in LIST.questions), "yes"),
        "p_yes": dict.fromkeys((item.id for item in LIST.questions), 0.9),
        "raw": "raw a text, said to be short",
        "parse_status": "ok",
        "log_p": None,
        "left_out": 0,
        "injection_flags": [],
        "n_tokens": 7,
        "judge": vars(Identity("stub", "1", "1", "item", None)) | {"checklist_sha": LIST.sha256},
    }


def test_a_rerun_asks_nothing_and_gives_the_same_rows(tmp_path):
    first = judge_all(tmp_path, ["one", "two", "three"], StubJudge())
    judge = StubJudge()
    assert judge_all(tmp_path, ["one", "two", "three"], judge) == first
    assert judge.asked == []


def test_only_a_changed_text_is_asked_again(tmp_path):
    judge_all(tmp_path, ["one", "two", "three"], StubJudge())
    judge = StubJudge()
    judge_all(tmp_path, ["one", "two!", "three"], judge)
    assert judge.asked == ["two!"]


@pytest.mark.parametrize(
    "change",
    [
        {"revision": "2"},
        {"prompt_sha": "2"},
        {"model": "other"},
        {"mode": "batch"},
        {"seed": 1},
        {"variant": "retest"},
    ],
)
def test_another_judge_is_asked_anew(tmp_path, change):
    judge_all(tmp_path, ["one"], StubJudge())
    judge = StubJudge(**change)
    judge_all(tmp_path, ["one"], judge)
    assert judge.asked == ["one"]
    assert row_key("0", judge.identity, LIST) != row_key("0", StubJudge().identity, LIST)


def test_another_checklist_is_asked_anew_and_the_old_one_is_still_known(tmp_path):
    judge_all(tmp_path, ["one"], StubJudge())
    judge, changed = StubJudge(), checklist(text="Is it another question?")
    judge_all(tmp_path, ["one"], judge, changed)
    judge_all(tmp_path, ["one"], judge, LIST)
    judge_all(tmp_path, ["one"], judge, checklist(source="a guideline"))
    assert judge.asked == ["one"]


def test_a_text_that_occurs_twice_is_asked_once(tmp_path):
    judge = StubJudge(chunk_texts=2)
    found = judge_all(tmp_path, ["one", "one", "two", "one"], judge)
    assert judge.asked == ["one", "two"]
    assert [row["response_id"] for row in found] == ["r0", "r1", "r2", "r3"]


def test_what_another_shard_judged_is_known(tmp_path):
    judge_all(tmp_path, ["one"], StubJudge(), name="batch-0-of-2.jsonl")
    judge = StubJudge()
    judge_all(tmp_path, ["one", "two"], judge, name="batch-1-of-2.jsonl")
    assert judge.asked == ["two"]


def test_the_size_of_chunks_does_not_show(tmp_path, monkeypatch):
    whole = judge_all(tmp_path / "a", texts(7), Lexical())
    monkeypatch.setattr(Lexical, "chunk_texts", 2)
    assert judge_all(tmp_path / "b", texts(7), Lexical()) == whole


@settings(deadline=None, max_examples=25)
@given(st.sets(st.integers(0, 19)), st.booleans())
def test_rows_are_the_same_whatever_the_cache_holds(tmp_path_factory, known, elsewhere):
    folder, said = tmp_path_factory.mktemp("cache"), texts(20)
    name = "other.jsonl" if elsewhere else "own.jsonl"
    judge_all(folder, [said[n] for n in sorted(known)], Lexical(), name=name)
    assert judge_all(folder, said, Lexical()) == judge_all(folder / "empty", said, Lexical())


def own_file(folder):
    (file,) = folder.rglob("own.jsonl")
    return file


def test_a_chunk_torn_at_any_byte_is_cut_whole_and_judged_again(tmp_path):
    """Its texts are judged together once more, and not only those that are missing: they depend on each other."""
    said = ["one", "two", "three", "four"]
    expected = judge_all(tmp_path, said, StubJudge(chunk_texts=2))
    whole = own_file(tmp_path).read_bytes()
    start = whole.index(b"\n", whole.index(b"committed")) + 1
    for end in (*range(start, start + 90), whole.index(b"\n", start) + 1, len(whole) - 2, len(whole) - 1):
        own_file(tmp_path).write_bytes(whole[:end])
        judge = StubJudge(chunk_texts=2)
        assert judge_all(tmp_path, said, judge) == expected
        assert judge.asked == ["three", "four"]
        assert own_file(tmp_path).read_bytes() == whole


def test_another_writers_half_written_chunk_is_left_alone(tmp_path):
    judge_all(tmp_path, ["one", "two"], StubJudge(chunk_texts=1), name="other.jsonl")
    (other,) = tmp_path.rglob("other.jsonl")
    other.write_bytes(other.read_bytes()[:-5])
    before, judge = other.read_bytes(), StubJudge()
    judge_all(tmp_path, ["one", "two"], judge)
    assert judge.asked == ["two"]
    assert other.read_bytes() == before


def test_a_damaged_line_is_judged_again_and_said(tmp_path, capsys):
    expected = judge_all(tmp_path, ["one", "two"], StubJudge())
    lines = own_file(tmp_path).read_text().splitlines(keepends=True)
    own_file(tmp_path).write_text(lines[0][:80] + "#" * 20 + lines[0][100:] + "".join(lines[1:]))
    judge = StubJudge()
    assert judge_all(tmp_path, ["one", "two"], judge) == expected
    assert judge.asked == ["one"]
    assert "damaged" in capsys.readouterr().err
    # And the new line is the one that is found from then on.
    assert judge_all(tmp_path, ["one", "two"], judge) == expected
    assert judge.asked == ["one"]


def test_the_cache_holds_no_line_in_memory(tmp_path):
    judge_all(tmp_path, texts(30), Lexical())
    with Cache(own_file(tmp_path).parent, "own.jsonl") as cache:
        assert len(cache) == 30
        assert all(isinstance(place, int) for place in cache._places.values())


def ids(path, *arguments):
    return [row["response_id"] for row in shard_rows(path, *arguments)]


@pytest.fixture
def table(tmp_path):
    return responses_table(tmp_path / "responses.parquet", texts(200))


def test_shards_part_the_corpus_in_order(table):
    parts = [ids(table, shard, 3, 0) for shard in range(3)]
    assert sorted(itertools.chain(*parts)) == ids(table, 0, 1, 0) == [f"r{n:05d}" for n in range(200)]
    assert all(part == sorted(part) and len(part) > 40 for part in parts)


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_a_limit_draws_the_same_responses_for_any_number_of_shards(table, shards):
    drawn = sorted(itertools.chain(*(ids(table, shard, shards, 50) for shard in range(shards))))
    assert drawn == ids(table, 0, 1, 50)
    assert len(drawn) == 50
    assert set(ids(table, 0, 1, 20)) < set(drawn)


@pytest.mark.parametrize(("shards", "limit", "prompts"), [(1, 0, None), (3, 0, None), (3, 50, None), (2, 7, "some")])
def test_the_size_of_a_shard_is_known_before_its_rows_are_read(table, shards, limit, prompts):
    some = frozenset(row["prompt_id"] for row in list(shard_rows(table, 0, 1, 0))[:40]) if prompts else None
    for shard in range(shards):
        assert shard_size(table, shard, shards, limit, some) == len(ids(table, shard, shards, limit, some)) > 0


def test_a_limit_does_not_depend_on_the_rows_being_there_first(table, tmp_path):
    # Ids are numbered, so fewer texts are fewer ids; the draw of those that remain is by hash alone.
    fewer = responses_table(tmp_path / "fewer.parquet", texts(150))
    assert draw(fewer, 0) is None
    kept = {identity for identity in draw(table, 200) if identity < "r00150"}
    assert draw(fewer, 200) == kept
    assert draw(fewer, 10) >= {identity for identity in draw(table, 10) if identity < "r00150"}


def test_a_limit_beyond_the_corpus_takes_all(table):
    assert len(ids(table, 0, 1, 1000)) == 200


def test_a_table_out_of_order_is_refused(table, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    shuffled = list(read_rows(table))
    random.Random(0).shuffle(shuffled)
    pq.write_table(pa.Table.from_pylist(shuffled, RESPONSES), tmp_path / "shuffled.parquet")
    with pytest.raises(WinnowError, match="ordered by response_id"):
        ids(tmp_path / "shuffled.parquet", 0, 1, 0)


def test_a_cache_line_begins_with_its_key(tmp_path):
    # The index is built from the first bytes of each line, without parsing it.
    judge_all(tmp_path, ["one"], StubJudge())
    line, _ = own_file(tmp_path).read_text().splitlines()
    assert line.startswith('{"key":"' + json.loads(line)["key"] + '"')
