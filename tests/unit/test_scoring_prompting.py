"""Prompts of language-model judges: one beginning per review, safe and fenced, and answers that are never guessed."""

import json
import math
import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scoring_fixtures import CHAT_TOKENS, ICLR, PROSE, checklist
from winnow.core.errors import WinnowError
from winnow.scoring import fencing, prompting
from winnow.scoring.checklist import load_checklist
from winnow.scoring.fencing import cleaned, fence, neutralised, safe_text
from winnow.scoring.injections import load_injections
from winnow.scoring.prompting import (
    answer_schema,
    batch_judgement,
    batch_order,
    batch_parts,
    head_and_tail,
    item_judgement,
    item_parts,
    read_batch,
)

ITEMS = checklist().questions
ALL_YES = {item.id: "yes" for item in ITEMS}
NOTHING = dict.fromkeys(ALL_YES)

# ------------------------------------------------------------------------------------------- safe text

INJECTIONS = load_injections(ICLR.parents[1] / "injections.yaml")
_PIECES = [*CHAT_TOKENS, *(injection.text for injection in INJECTIONS), "＜", "＞", "<", "[", "]", "~", ">", "|", "/"]
_PIECES += [
    "\u200b",
    "\u202e",
    "\ufe0f",
    "\u3164",
    "\u0338",
    "\u0301",
    "\r",
    "\r\n",
    "\u2028",
    "\t",
    "\ud800",
    "e",
    " ",
]
hostile_texts = st.lists(st.sampled_from(_PIECES) | st.text(max_size=5), max_size=12).map("".join)


@given(hostile_texts)
@example("<\u200b\u0338")  # a stroke that NFKC joins to the bracket once the space between them is gone
@example("[\u200bINST\u3164]")
def test_safe_text_is_stable_and_holds_no_special_token(text):
    safe = safe_text(text)
    assert safe_text(safe) == safe
    assert not [token for token in CHAT_TOKENS if token in safe]
    assert unicodedata.is_normalized("NFKC", safe)
    assert not [c for c in safe if c not in "\n\t" and unicodedata.category(c) in {"Cc", "Cf", "Cs"}]
    assert safe == safe.strip()


@pytest.mark.parametrize("token", CHAT_TOKENS)
def test_tokens_are_broken_and_still_legible(token):
    for text in (token, token.casefold(), f"a{token}b", "\u200b".join(token), token.translate({60: "＜", 62: "＞"})):
        assert token not in safe_text(text)
    plain = unicodedata.normalize("NFKC", token)
    assert safe_text(token).replace(" ", "") == plain.replace(" ", "")


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "if x <= y, a < b and b <- c, then |z| > 1 [1, 2] (see [3])\n\n\t- as shown",
        "naïve Gauß, 好的, да, हाँ",
    ],
)
def test_usual_text_stays(text):
    assert safe_text(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\rc\u2028d\x0ce", "a\nb\nc\nd\ne"),
        ("ﬁne　ｘ", "fine x"),
        ("no\u200br\u00admal\ufeff", "normal"),
        ("e\u200b\u0301", "é"),  # what a hidden character kept apart is joined
        ("x\U000e0041\U000e0042y", "xy"),
        ("\x00\x1b[0m \n", "[0m"),
        ("p<0.05", "p< 0.05"),
        ("<|im_start|>", "< |im_start|>"),
    ],
)
def test_what_changes(text, expected):
    assert safe_text(text) == expected


def test_nfkc_brings_back_no_hidden_character():
    # Why hidden characters may go before it.
    characters = (chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000)
    changed = (c for c in characters if unicodedata.normalize("NFKC", c) != c and fencing._visible(c))
    assert [c for c in changed if not all(map(fencing._visible, unicodedata.normalize("NFKC", c)))] == []


# ------------------------------------------------------------------------------------------- the fence


@given(hostile_texts)
def test_each_line_of_the_fence_occurs_once(text):
    for parts in (
        item_parts(text, ITEMS[0], reordered=False),
        batch_parts(text, ITEMS, seed=0, attempt=0, reordered=False),
    ):
        opening, closing = fence(parts.review)
        whole = parts.system + "\n" + parts.before + parts.review + parts.after
        assert whole.splitlines().count(opening) == whole.count(opening) == 1
        assert whole.splitlines().count(closing) == whole.count(closing) == 1
        assert parts.before == f"{opening}\n"
        assert parts.after.startswith(f"\n{closing}\n")
        assert parts.review == safe_text(text)


def test_a_text_that_holds_its_code_gets_another(monkeypatch):
    codes = iter(["a" * 64, "b" * 64, "c" * 64])
    monkeypatch.setattr(fencing, "sha256_text", lambda _: next(codes))
    assert fence("a" * 16 + " and " + "b" * 16)[1] == f"=== review {'c' * 16} ends ==="


def test_the_code_follows_from_the_text_alone():
    codes = {
        re.findall(r"=== review (\w{16}) ends", parts.after)[0]
        for item in ITEMS
        for reordered in (False, True)
        for parts in (
            item_parts(PROSE, item, reordered=reordered),
            batch_parts(PROSE, [item], seed=len(item.text), attempt=1, reordered=reordered),
        )
    }
    assert len(codes) == 1
    assert fence(PROSE) != fence(f"{PROSE}.")


# ------------------------------------------------------------------------------------------- prompts


def test_all_questions_about_a_text_share_their_beginning():
    items = load_checklist(ICLR).questions
    for reordered in (False, True):
        prompts = [item_parts(PROSE, item, reordered=reordered) for item in items]
        assert len({parts[:3] for parts in prompts}) == 1
        assert len({parts.after for parts in prompts}) == len(items)
        # Also in `after`, all up to the question is shared.
        shared = {parts.after[: parts.after.index(item.text)] for parts, item in zip(prompts, items, strict=True)}
        assert len(shared) == 1
    assert item_parts("", items[0], reordered=False).system == item_parts(PROSE, items[1], reordered=False).system


def test_what_is_asked_stands_last():
    after = item_parts(PROSE, ITEMS[3], reordered=False).after
    assert after.endswith(ITEMS[3].text)
    assert [item.id for item in ITEMS if item.text in after] == [ITEMS[3].id]


def test_reordered_names_the_answers_the_other_way_round_and_changes_nothing_else():
    for make in (
        lambda reordered: item_parts(PROSE, ITEMS[0], reordered=reordered),
        lambda reordered: batch_parts(PROSE, ITEMS[:1], seed=0, attempt=0, reordered=reordered),
    ):
        usual, reordered = make(False), make(True)
        assert "yes or no" in usual.system
        assert "yes or no" in usual.after
        assert tuple(part.replace("yes or no", "no or yes") for part in usual) == tuple(reordered)
        assert "yes or no" not in "".join(reordered)


def test_nothing_in_a_review_is_filled_in():
    text = "{question} {answers} {questions} {0} %s"
    assert item_parts(text, ITEMS[0], reordered=False).review == text
    item = ITEMS[0].model_copy(update={"text": "Is {answers}\n{question} there?"})
    assert item_parts(PROSE, item, reordered=False).after.endswith("\nIs {answers} {question} there?")


def asked(**changes):
    arguments = {"text": PROSE, "items": ITEMS, "seed": 0, "attempt": 0, "reordered": False} | changes
    after = batch_parts(arguments.pop("text"), arguments.pop("items"), **arguments).after
    lines = re.findall(r"^- (\w+): (.*)$", after, re.MULTILINE)
    assert dict(lines) == {item.id: item.text for item in ITEMS}
    return [name for name, _ in lines]


def test_the_order_of_a_batch_follows_from_text_seed_and_attempt():
    assert asked() == asked()
    assert asked() == asked(items=ITEMS[::-1])
    assert asked() == [item.id for item in batch_order(PROSE, ITEMS, seed=0, attempt=0, reordered=False)]
    orders = [asked(), asked(seed=1), asked(attempt=1), asked(attempt=2), asked(reordered=True), asked(text="other")]
    assert len(set(map(tuple, orders))) == len(orders)


def test_no_item_has_a_usual_place():
    first = [asked(seed=seed)[0] for seed in range(400)]
    assert all(20 < first.count(item.id) < 90 for item in ITEMS)  # 50 expected, and about 7 either way


def test_the_hash_covers_wording_and_code_of_its_mode(monkeypatch):
    usual = prompting.prompt_sha("item"), prompting.prompt_sha("batch")
    assert usual[0] != usual[1]
    wording = prompting._wording()
    other = wording.model_copy(update={"item": wording.item.model_copy(update={"system": "{answers}"})})
    monkeypatch.setattr(prompting, "_wording", lambda: other)
    assert prompting.prompt_sha("item") != usual[0]
    assert prompting.prompt_sha("batch") == usual[1]
    monkeypatch.setattr(fencing, "__file__", prompting.__file__)
    assert prompting.prompt_sha("batch") != usual[1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    {question}\n", "", "item.after needs"),
        ("{questions}", "{questions} {questions}", "batch.after needs"),
        (
            "with one word: {answers}.\n\n    The review stands",
            "{question}\n\n    The review stands",
            "item.system needs",
        ),
        ("batch:", "btach:", "did you mean 'batch'"),
    ],
)
def test_a_wording_without_its_blanks_is_refused(old, new, message, tmp_path, monkeypatch):
    text = prompting.WORDING.read_text()
    assert old in text
    (tmp_path / "judge.yaml").write_text(text.replace(old, new))
    monkeypatch.setattr(prompting, "WORDING", tmp_path / "judge.yaml")
    with pytest.raises(WinnowError, match=message):
        prompting._wording.__wrapped__()


# ------------------------------------------------------------------------------------------- answers

GOOD = json.dumps(ALL_YES)
FIRST, SECOND = ITEMS[0].id, ITEMS[1].id


@pytest.mark.parametrize(
    "output",
    [
        GOOD,
        f"\n {GOOD} \n",
        json.dumps(ALL_YES, indent=2),
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```\n",
        GOOD.replace('"yes"', '" YES "', 1),
    ],
)
def test_a_whole_answer_is_read(output):
    assert read_batch(output, ITEMS, thinking=False) == (ALL_YES, None)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("", "not JSON"),
        (GOOD[:-1], "not JSON"),  # cut off
        (GOOD[: len(GOOD) // 2], "not JSON"),
        (f"Here you are: {GOOD}", "not JSON"),
        (f"{GOOD} I hope that this helps.", "not JSON"),
        (f"{GOOD}\n{GOOD}", "not JSON"),
        (f"```json\n{GOOD}", "not JSON"),
        (GOOD.replace('"', "'"), "not JSON"),
        ("yes", "not JSON"),
        ('"yes"', "not an object"),
        ("[]", "not an object"),
        (f"[{GOOD}]", "not an object"),
        ("null", "not an object"),
        ("[" * 100_000, "not JSON"),
        ("{}", f"{FIRST}: absent"),
        (json.dumps({"answers": ALL_YES}), "not asked: answers"),
        (f"<think>{GOOD}</think>{GOOD}", "not JSON"),
    ],
)
def test_what_cannot_be_read_is_null_for_all_and_never_no(output, reason):
    answers, why = read_batch(output, ITEMS, thinking=False)
    assert answers == NOTHING
    assert reason in why


@pytest.mark.parametrize(
    "value", [True, False, 1, 0, None, "", "y", "yes.", "yes or no", "Ja", ["yes"], {"yes": "yes"}]
)
def test_one_strange_value_is_null_for_its_item_alone(value):
    answers, why = read_batch(json.dumps(ALL_YES | {FIRST: value}), ITEMS, thinking=False)
    assert answers == ALL_YES | {FIRST: None}
    assert why == f"{FIRST}: neither yes nor no"


def test_absent_repeated_and_unknown_keys():
    rest = {name: "no" for name in ALL_YES if name not in {FIRST, SECOND}}
    output = f'{{"{FIRST}": "yes", "{FIRST}": "yes", "says_w99": "yes", {json.dumps(rest)[1:]}'
    answers, why = read_batch(output, ITEMS, thinking=False)
    assert answers == {FIRST: None, SECOND: None} | rest
    assert why == f"{FIRST}: answered twice; {SECOND}: absent; not asked: says_w99"
    assert read_batch(json.dumps(ALL_YES | {"comment": "x"}), ITEMS, thinking=False) == (ALL_YES, None)


@pytest.mark.parametrize(
    ("output", "answers"),
    [
        (f"<think>hm</think>\n{GOOD}", ALL_YES),
        (f"hm</think>{GOOD}", ALL_YES),  # a template may have opened the block already
        (f"<think>{GOOD.replace('yes', 'no')}</think> and </think>{GOOD}", ALL_YES),
        (f"<think>{GOOD}", NOTHING),  # never came to an end
        (GOOD, NOTHING),
        (f"<think>{GOOD}</think>", NOTHING),
    ],
)
def test_thoughts_are_not_answers(output, answers):
    found, why = read_batch(output, ITEMS, thinking=True)
    assert found == answers
    assert (why is None) == (answers == ALL_YES)


_values = st.sampled_from(["yes", "no", "Yes", "maybe"]) | st.none() | st.booleans() | st.lists(st.text(), max_size=2)
_objects = st.dictionaries(st.sampled_from([*ALL_YES, "other"]), _values).map(json.dumps)


@given(st.text() | _objects | _objects.map("<think>no</think>{}".format))
def test_whatever_is_said_there_is_an_entry_for_every_item_and_a_reason_for_every_null(output):
    for thinking in (False, True):
        answers, why = read_batch(output, ITEMS, thinking=thinking)
        assert list(answers) == list(ALL_YES)
        assert set(answers.values()) <= {"yes", "no", None}
        assert (why is None) == (None not in answers.values())
        if "no" in answers.values():
            assert "no" in output.casefold()


def test_the_schema_allows_the_items_and_nothing_else():
    ordered = batch_order(PROSE, ITEMS, seed=0, attempt=0, reordered=False)
    schema = answer_schema(ordered)
    assert list(schema["properties"]) == schema["required"] == [item.id for item in ordered]
    assert schema["additionalProperties"] is False
    assert all(value["enum"] == ["yes", "no"] for value in schema["properties"].values())


# ------------------------------------------------------------------------------------------- shortening


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 6))
def test_head_and_tail_fit_and_count_what_is_left_out(length, room, gap):
    units, mark = list(range(length)), ["gap"] * gap
    if length > room and room < gap + 2:
        with pytest.raises(ValueError, match="too little"):
            head_and_tail(units, room, mark)
        return
    kept, left_out = head_and_tail(units, room, mark)
    if length <= room:
        assert (kept, left_out) == (units, 0)
        return
    numbers = [unit for unit in kept if unit != "gap"]
    assert len(kept) == room
    assert len(numbers) + left_out == length
    head = [unit for at, unit in enumerate(numbers) if unit == at]
    assert numbers == units[: len(head)] + units[length - (len(numbers) - len(head)) :]
    assert 0 <= 2 * len(head) - len(numbers) <= 1
    assert kept[len(head) : len(head) + gap] == mark


# ------------------------------------------------------------------------------------------- judgements


def test_an_item_is_answered_by_the_ratio_of_the_two():
    log_p = {"a": (math.log(0.6), math.log(0.2)), "b": (math.log(0.1), math.log(0.3)), "c": (-1.0, -1.0)}
    found = item_judgement(log_p, min_mass=0.1, left_out=7)
    assert found.answers == {"a": "yes", "b": "no", "c": "yes"}
    assert found.p_yes == pytest.approx({"a": 0.75, "b": 0.25, "c": 0.5}, abs=1e-6)
    assert (found.raw, found.parse_status, found.left_out) == (None, "ok", 7)
    for name, (yes, no) in found.log_p.items():  # what is kept gives what is said
        assert found.p_yes[name] == round(math.exp(yes) / (math.exp(yes) + math.exp(no)), 6)


@pytest.mark.parametrize("pair", [None, (math.nan, -1.0), (math.log(0.04), math.log(0.05)), (-math.inf, -math.inf)])
def test_no_mass_no_answer(pair):
    found = item_judgement({"a": (-0.1, -3.0), "b": pair}, min_mass=0.1, left_out=0)
    assert (found.answers, found.p_yes["b"], found.parse_status) == ({"a": "yes", "b": None}, None, "partial")
    assert found.raw.startswith("b: ")
    assert json.dumps(found.log_p, allow_nan=False)
    assert item_judgement({"b": pair}, min_mass=0.1, left_out=0).parse_status == "failed"


def test_a_probability_of_zero_is_one():
    found = item_judgement({"a": (-0.1, -math.inf), "b": (-math.inf, -0.1)}, min_mass=0.1, left_out=0)
    assert (found.answers, found.p_yes, found.log_p) == ({"a": "yes", "b": "no"}, {"a": 1.0, "b": 0.0}, None)
    assert item_judgement({"a": (-math.inf, -math.inf)}, min_mass=0, left_out=0).answers == {"a": None}


def test_a_batch_has_no_probabilities():
    found = batch_judgement({"a": "yes", "b": None}, "b: absent", 3)
    assert (found.p_yes, found.log_p, found.parse_status) == ({"a": None, "b": None}, None, "partial")
    assert (found.raw, found.left_out) == ("b: absent", 3)


def test_cleaning_and_breaking_are_both_needed():
    assert cleaned("＜s＞") == "<s>"
    assert neutralised("<s>＜s＞") == "< s>＜s＞"
