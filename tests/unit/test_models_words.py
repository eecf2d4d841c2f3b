"""How probable words are as the beginning of a response, against plain scoring of whole responses."""

import itertools

import pytest

from evaluation_fixtures import heldout_table, tiny_model
from winnow.core.errors import WinnowError
from winnow.core.tables import read_rows
from winnow.evaluation.likelihood import batch_logps
from winnow.evaluation.measure import measure_answers
from winnow.models.encoding import Encoded, encode, encode_prompt
from winnow.models.inference import device_for, load_model
from winnow.models.words import tokens_of_words, word_logps
from winnow.numerics.tokens import pad_id

# To the tiny tokenizer these are one to three tokens; "Yes" and "Yet" begin with the same one.
WORDS = {"a": "the", "b": "is", "c": "Yes", "d": "No", "e": "Yet"}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return load_model(tiny_model(tmp_path_factory.mktemp("models") / "text"), None, device_for(0))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Ten rows, two for each of five prompts, of different lengths."""
    return heldout_table(tmp_path_factory.mktemp("tables") / "heldout.parquet", rows=10)


@pytest.fixture(scope="module")
def prompts(table):
    return [row["prompt"] for row in read_rows(table)]


def plain(loaded, prompt, word):
    """The log-probability of the whole response, less that of its end token."""
    whole = encode(loaded.tokenizer, prompt, [{"role": "assistant", "content": word}], word)
    assert whole.ids[-1] == loaded.tokenizer.eos_token_id
    end = Encoded(whole.ids, len(whole.ids) - 1)
    return batch_logps(loaded, [whole])[0] - batch_logps(loaded, [end])[0]


def test_words_have_their_tokens_and_no_end(loaded, prompts):
    tokens = tokens_of_words(loaded.tokenizer, WORDS, prompts[0])
    assert {name: loaded.tokenizer.decode(found) for name, found in tokens.items()} == WORDS
    assert [len(found) for found in tokens.values()] == [1, 1, 2, 2, 3]
    assert tokens["c"][0] == tokens["e"][0]
    assert tokens == tokens_of_words(loaded.tokenizer, WORDS, prompts[-1])


def test_a_word_is_as_probable_as_plain_scoring_says(loaded, prompts):
    tokens = tokens_of_words(loaded.tokenizer, WORDS, prompts[0])
    for prompt in prompts[:3]:
        (found,) = word_logps(loaded.model, [encode_prompt(loaded.tokenizer, prompt)], tokens, 0)
        assert found == pytest.approx({name: plain(loaded, prompt, word) for name, word in WORDS.items()}, abs=1e-5)


def test_order_batch_and_padding_change_no_value(loaded, prompts):
    tokens = tokens_of_words(loaded.tokenizer, WORDS, prompts[0])
    ids = [encode_prompt(loaded.tokenizer, prompt) for prompt in prompts]
    assert len(set(map(len, ids))) > 5
    alone = [word_logps(loaded.model, [row], tokens, pad_id(loaded.tokenizer))[0] for row in ids]
    for order, pad in itertools.product((1, -1), (pad_id(loaded.tokenizer), 7)):
        together = word_logps(loaded.model, ids[::order], dict(reversed(tokens.items())), pad)[::order]
        assert [list(row) for row in together] == [sorted(WORDS)] * len(ids)
        for one, other in zip(together, alone, strict=True):
            assert one == pytest.approx(other, abs=1e-4)


def test_a_word_that_begins_another_is_refused(loaded, prompts):
    with pytest.raises(WinnowError, match="'Ye' begins as 'Yet' does"):
        tokens_of_words(loaded.tokenizer, {"a": "Yet", "b": "Ye"}, prompts[0])
    with pytest.raises(WinnowError, match="begins as"):
        tokens_of_words(loaded.tokenizer, {"a": "Yes", "b": "Yes"}, prompts[0])


def test_every_prompt_of_a_table_has_one_row_whatever_the_batch(loaded, table):
    answers = {"sarcastic": "Yes", "not_sarcastic": "the"}
    # A prompt is asked as that of its rows which is generated from: `read_prompts` draws it.
    rows = {batch: list(measure_answers(loaded, table, answers, batch)) for batch in (1, 3, 64)}
    assert [row["id"] for row in rows[3]] == ["p0", "p1", "p2", "p3", "p4"] == [row["prompt_id"] for row in rows[3]]
    asked = {name: set() for name in ("p0", "p1", "p2", "p3", "p4")}
    for row in read_rows(table):
        for label, word in answers.items():
            asked[row["prompt_id"]].add((label, round(plain(loaded, row["prompt"], word), 4)))
    for one, three, all_ in zip(*rows.values(), strict=True):
        assert one["logps"] == pytest.approx(three["logps"], abs=1e-4)
        assert one["logps"] == pytest.approx(all_["logps"], abs=1e-4)
        for label, logp in one["logps"].items():
            nearest = min(abs(logp - value) for of, value in asked[one["id"]] if of == label)
            assert nearest < 2e-4
            assert round(logp, 6) == logp
