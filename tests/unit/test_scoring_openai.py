"""The OpenAI-compatible judge against a scripted stub: no answer is invented, lost, misplaced or paid for twice."""

import json
import logging
import math
import subprocess
import sys
import threading
import time

import pytest
from pydantic import ValidationError

from openai_fixtures import Reply, asked, lawful, listed, p_yes_of, refused, said, stub_server, vllm
from scoring_fixtures import PROSE, SCRIPTS, checklist
from winnow.core.config.signals import OpenAIJudge
from winnow.core.errors import WinnowError
from winnow.core.ids import canonical_json, sha256_text
from winnow.core.manifest import Tally
from winnow.scoring import openai_client, prompting
from winnow.scoring.cache import Cache, judge_key
from winnow.scoring.judging import judged_rows
from winnow.scoring.openai_api import OpenAIEndpoint

LIST = checklist()
ITEMS = LIST.questions
NAMES = [item.id for item in ITEMS]
ALL_YES = json.dumps(dict.fromkeys(NAMES, "yes"))
KEY = "sk-a-secret-of-ours"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(openai_client, "_FIRST_WAIT_S", 0.05)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def texts(count):
    return [f"{PROSE} It is number {number}." for number in range(count)]


def expected(text, item, reordered=False):
    parts = prompting.item_parts(text, item, reordered=reordered)
    return p_yes_of(f"{parts.before}{parts.review}{parts.after}")


def judge_with(server, said=None, variant="", items=ITEMS, **settings):
    return OpenAIEndpoint(server.settings(**settings), variant).judge(texts(1) if said is None else said, items)


def once(first, then=lawful):
    """Say `first` to the first request alone."""
    turn = iter([first])
    return lambda body: next(turn, None) or then(body)


# ------------------------------------------------------------------------------------------ item mode


@pytest.mark.parametrize("beside", [vllm, None], ids=["vllm", "other"])
@pytest.mark.parametrize("variant", ["", "reordered"])
def test_p_yes_is_the_share_of_yes_of_the_right_text_and_item(beside, variant):
    with stub_server(delay_s=0.002, **({"beside": beside} if beside else {})) as server:
        found = judge_with(server, texts(6), variant)
    for text, judgement in zip(texts(6), found, strict=True):
        assert list(judgement.answers) == NAMES
        for item in ITEMS:
            right = expected(text, item, variant == "reordered")
            assert judgement.p_yes[item.id] == pytest.approx(right, abs=2e-6)
            assert judgement.answers[item.id] == ("yes" if right >= 0.5 else "no")
            assert math.exp(judgement.log_p[item.id][0]) == pytest.approx(0.9 * right, abs=2e-6)


def test_one_token_is_asked_for_with_the_question_last():
    with stub_server() as server:
        judge_with(server)
    (body,) = [body for body in server.bodies if "says_w3" in asked(body) or "w3?" in asked(body)]
    assert (body["max_tokens"], body["temperature"], body["logprobs"], body["top_logprobs"]) == (1, 0, True, 20)
    assert [turn["role"] for turn in body["messages"]] == ["system", "user"]
    assert asked(body).index(PROSE) < asked(body).index("Does the review say w3?")
    assert not {"logprob_token_ids", "chat_template_kwargs"} & body.keys()


def test_a_vllm_server_is_asked_for_the_tokens_that_spell_the_answers():
    with stub_server(beside=vllm) as server:
        judge_with(server)
    assert all(body["logprob_token_ids"] == [1, 2, 3, 4, 5, 6] for body in server.bodies)
    assert all(body["chat_template_kwargs"] == {"enable_thinking": False} for body in server.bodies)


def test_a_server_that_passes_over_token_ids_is_asked_for_the_likeliest():
    def passes_over(body):
        return lawful({name: value for name, value in body.items() if name != "logprob_token_ids"})

    with stub_server(say=passes_over, beside=vllm) as server:
        (judgement,) = judge_with(server)
    assert judgement.p_yes["says_w0"] == pytest.approx(expected(texts(1)[0], ITEMS[0]), abs=2e-6)


@pytest.mark.parametrize(
    ("log_p", "answer", "p_yes"),
    [
        ({"The": -0.1, "A": -3.0}, None, None),  # neither: it is not a no
        ({"Yes": math.log(0.6), "The": -1.0}, "yes", 1.0),  # more than half: no cannot win
        ({"no": math.log(0.3), " NO": math.log(0.3)}, "no", 0.0),  # more than half in two spellings
        ({"Yes": math.log(0.4), "The": -1.0}, None, None),  # less: no may stand just below what is listed
        ({"Yes": math.log(0.06), "no": math.log(0.03), "The": -0.1}, None, None),  # hardly an answer: min_mass
        ({"Yes": math.log(0.3), "no": math.log(0.1)}, "yes", 0.75),
        ({"yesterday": -0.1, "nothing": -3.0}, None, None),  # words that only begin so
    ],
)
def test_what_is_not_listed_is_not_invented(log_p, answer, p_yes):
    with stub_server(say=lambda _: listed(log_p)) as server:
        (judgement,) = judge_with(server)
    assert set(judgement.answers.values()) == {answer}
    assert set(judgement.p_yes.values()) == {p_yes}
    assert judgement.parse_status == ("failed" if answer is None else "ok")
    assert answer is not None or "says_w0" in judgement.raw


def test_an_answer_without_a_first_token_is_null_for_that_item_alone():
    def silent(body):
        reply = lawful(body)
        if "w2?" in asked(body):
            reply.body["choices"][0]["logprobs"]["content"] = []
        return reply

    with stub_server(say=silent) as server:
        (judgement,) = judge_with(server)
    assert [name for name, answer in judgement.answers.items() if answer is None] == ["says_w2"]
    assert judgement.parse_status == "partial"


def test_a_server_without_log_probabilities_is_an_error_and_not_a_null():
    with stub_server(say=lambda _: said("yes", "length")) as server, pytest.raises(WinnowError, match="mode: batch"):
        judge_with(server)


def test_a_model_that_knows_only_the_newer_limit():
    def newer(body):
        return lawful(body) if "max_tokens" not in body else refused(400, "Use 'max_completion_tokens' instead.")

    with stub_server(say=newer) as server:
        (judgement,) = judge_with(server, concurrency=2)
        refusals = sum("max_tokens" in body for body in server.bodies)
    assert judgement.parse_status == "ok"
    assert 1 <= refusals <= 2  # those under way when it was found out


def test_a_long_review_keeps_head_and_tail_and_says_so():
    text = "begin " + "middle " * 1000 + "end."
    with stub_server() as server:
        (judgement,) = judge_with(server, [text], max_review_chars=1000)
    # Making a text safe may change its length a little; here it does not.
    assert judgement.left_out == len(text) - 1000 + len(prompting.GAP)
    assert all("begin middle" in asked(body) and "middle end." in asked(body) for body in server.bodies)
    assert all(asked(body).count("middle") < 150 and prompting.GAP in asked(body) for body in server.bodies)


# ----------------------------------------------------------------------------------------- batch mode


def test_batch_asks_all_at_once_for_json_by_schema():
    with stub_server() as server:
        (judgement,) = judge_with(server, mode="batch")
    (body,) = server.bodies
    form = body["response_format"]["json_schema"]
    assert form["strict"] is True
    assert set(form["schema"]["properties"]) == set(NAMES)
    assert form["schema"]["additionalProperties"] is False
    # The order of the schema is the order of the questions.
    assert form["schema"]["required"] == sorted(NAMES, key=lambda name: asked(body).index(f"- {name}:"))
    prompt = asked(body)
    assert judgement.answers == {name: "yes" if p_yes_of(prompt + name) >= 0.5 else "no" for name in NAMES}
    assert set(judgement.p_yes.values()) == {None}
    assert (judgement.raw, judgement.log_p) == (None, None)


def test_batch_keeps_the_order_of_texts():
    with stub_server(delay_s=0.005) as server:
        many = judge_with(server, texts(12), mode="batch")
        single = [judge_with(server, [text], mode="batch")[0] for text in texts(12)]
    assert many == single
    assert len({json.dumps(judgement.answers) for judgement in many}) > 3


@pytest.mark.parametrize(
    ("reply", "reason", "answered"),
    [
        (said('{"says_w0": "yes"', "length"), "stopped by length", 0),
        (said(ALL_YES, "length"), "stopped by length", 0),  # it reads well, and may yet have been cut
        (said("", "content_filter"), "stopped by content_filter", 0),
        (said("I would say yes."), "not JSON", 0),
        (said(json.dumps(dict.fromkeys(NAMES[1:], "no"))), "says_w0: absent", 7),
        (said(ALL_YES.replace("yes", "maybe", 1)), "neither yes nor no", 7),
        (said(None, refusal="I will not."), "not JSON", 0),
    ],
)
def test_batch_tries_three_times_in_other_orders_then_null_with_the_answer_kept(reply, reason, answered):
    with stub_server(say=lambda _: reply) as server:
        (judgement,) = judge_with(server, mode="batch")
    assert len({asked(body) for body in server.bodies}) == len(server.bodies) == 3
    assert sum(answer is not None for answer in judgement.answers.values()) == answered
    assert judgement.parse_status == ("partial" if answered else "failed")
    assert reason in judgement.raw
    assert (reply.body["choices"][0]["message"]["content"] or "") in judgement.raw


def test_batch_takes_the_second_answer_where_the_first_cannot_be_read():
    with stub_server(say=once(said("{"))) as server:
        (judgement,) = judge_with(server, mode="batch")
    assert len(server.bodies) == 2
    assert (judgement.parse_status, judgement.raw) == ("ok", None)


@pytest.mark.parametrize(
    "reply",
    [
        said(f"Hmm, {ALL_YES.replace('yes', 'no')}? No.</think>\n{ALL_YES}"),
        said(ALL_YES, reasoning_content="Hmm."),
        said(ALL_YES, reasoning="Hmm."),
    ],
)
def test_thoughts_are_left_out_wherever_the_server_puts_them(reply):
    with stub_server(say=lambda _: reply, beside=vllm) as server:
        (judgement,) = judge_with(server, mode="batch", thinking=True, thinking_tokens=3000)
    (body,) = server.bodies
    assert set(judgement.answers.values()) == {"yes"}
    assert "response_format" not in body
    assert body["max_tokens"] > 3000
    assert body["chat_template_kwargs"] == {"enable_thinking": True}


def test_thoughts_without_an_end_answer_nothing():
    with stub_server(say=lambda _: said(ALL_YES)) as server:
        (judgement,) = judge_with(server, mode="batch", thinking=True)
    assert set(judgement.answers.values()) == {None}


# ------------------------------------------------------------------------------------ limits, patience


def test_no_more_requests_at_once_than_allowed_and_as_many():
    with stub_server(delay_s=0.02) as server:
        judge_with(server, texts(6), concurrency=5)
    assert server.most_at_once == 5


def test_the_rate_is_kept_over_chunks_and_for_retries():
    with stub_server(say=once(refused(500, "no"))) as server:
        judge = OpenAIEndpoint(server.settings(requests_per_minute=1800))
        judge.judge(texts(1), ITEMS)
        judge.judge(texts(2)[1:], ITEMS)
    moments = [moment for moment, *_ in server.asked]
    assert len(moments) == 1 + 8 + 1 + 8
    assert moments[-1] - moments[0] >= 0.95 * (len(moments) - 1) / 30


def test_a_429_waits_as_long_as_it_says():
    with stub_server(say=once(refused(429, "slow down", retry_after="1"))) as server:
        start = time.monotonic()
        (judgement,) = judge_with(server, mode="batch")
    assert 1 <= time.monotonic() - start < 3
    assert (judgement.parse_status, len(server.bodies)) == ("ok", 2)


@pytest.mark.parametrize(
    "reply",
    [
        *(refused(status, "later") for status in (408, 409, 429, 500, 502, 503)),
        Reply(status=0),  # hangs up
        Reply('{"choices": ['),  # a body that ends too soon
    ],
)
def test_what_may_pass_is_asked_again(reply):
    with stub_server(say=once(reply)) as server:
        (judgement,) = judge_with(server, mode="batch")
    assert (judgement.parse_status, len(server.bodies)) == ("ok", 2)


@pytest.mark.parametrize("when", ["86400", "Fri, 01 Jan 2100 00:00:00 GMT"])
def test_a_retry_after_beyond_all_patience_ends_at_once(when):
    with stub_server(say=lambda _: refused(429, "come back later", retry_after=when)) as server:
        start = time.monotonic()
        with pytest.raises(WinnowError, match=r"asks to wait \d{5,} s; last: status 429: come back later"):
            judge_with(server)
    assert time.monotonic() - start < 2


def test_patience_ends_with_what_happened_last():
    with stub_server() as server:
        settings = server.settings(patience_s=1)
    start = time.monotonic()
    with pytest.raises(WinnowError, match=r"within patience_s = 1 s; last: .*Connect.*(?s:.)*run again") as caught:
        OpenAIEndpoint(settings).judge(texts(1), ITEMS)
    assert server.base_url in str(caught.value)
    assert 1 <= time.monotonic() - start < 3


def test_a_server_that_answers_too_late_has_not_answered():
    with stub_server(delay_s=1.5) as server, pytest.raises(WinnowError, match="timed out"):
        judge_with(server, mode="batch", timeout_s=1, patience_s=1)


def test_a_server_that_dies_and_comes_back_changes_nothing(tmp_path):
    rows = table(texts(12))
    with stub_server(beside=vllm) as server:
        undisturbed = judge_rows(tmp_path / "a", rows, server)
    mended, lock = [], threading.Lock()

    def dying(body):
        with lock:
            if len(server.bodies) > 40 and not mended:
                mended.append(server.die_for(0.4))
        return Reply(status=0) if mended and mended[0].is_alive() else lawful(body)

    with stub_server(say=dying, beside=vllm) as server:
        disturbed = judge_rows(tmp_path / "b", rows, server, concurrency=4)
        mended[0].join()
        assert [row["response_id"] for row in disturbed] == [row["response_id"] for row in rows]
        assert disturbed == undisturbed
        assert len(set(kept_keys(tmp_path / "b"))) == len(kept_keys(tmp_path / "b")) == 12


def table(said):
    return [
        {"response_id": f"r{number:02d}", "prompt_id": "p", "text": text, "text_sha256": sha256_text(text)}
        for number, text in enumerate(said)
    ]


def judge_rows(folder, rows, server, **settings):
    judge = OpenAIEndpoint(server.settings(**settings))
    with Cache(folder / judge_key(judge.identity, LIST), "own.jsonl") as cache:
        # As a file has them, where a pair is a list.
        return [json.loads(canonical_json(row)) for row in judged_rows(rows, judge, LIST, cache, Tally())]


def kept_keys(folder):
    (file,) = folder.rglob("*.jsonl")
    return [line["key"] for line in map(json.loads, file.read_text().splitlines()) if "key" in line]


def test_a_full_cache_asks_nothing_and_needs_no_key(tmp_path):
    rows = table(texts(5))
    with stub_server() as server:
        first = judge_rows(tmp_path, rows, server)
        count = len(server.asked)
        assert judge_rows(tmp_path, rows, server) == first
        assert len(server.asked) == count
        # The same model elsewhere, on a host that would want a key, is the same judge.
        assert judge_rows(tmp_path, rows, server, base_url="https://judge.invalid/v1") == first


def test_what_was_judged_before_the_server_went_for_good_is_kept(tmp_path):
    rows = table(texts(9))

    def mortal(body):
        return lawful(body) if len(server.bodies) <= 5 * len(NAMES) else refused(401, "expired")

    with stub_server(say=mortal) as server:
        with pytest.raises(WinnowError, match="expired"):
            judge_rows(tmp_path, rows, server, concurrency=2)
        assert len(kept_keys(tmp_path)) == 4  # two chunks of two
        server.say = lawful
        before = len(server.bodies)
        assert len(judge_rows(tmp_path, rows, server, concurrency=2)) == 9
        # A request of before may have arrived late, so they are counted by what they ask.
        assert len({json.dumps(body) for body in server.bodies[before:]}) == 5 * len(NAMES)


# --------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("reply", "settings", "expected"),
    [
        (refused(401, "who are you"), {}, "OPENAI_API_KEY is not set"),
        (refused(403, "not you"), {"api_key_env": "OUR_KEY"}, "OUR_KEY is not accepted"),
        (refused(404, "The model `stub` does not exist."), {}, "check model, and base_url"),
        (refused(422, "what is logprobs?"), {}, "mode: batch does without"),
        (refused(400, "what is response_format?"), {"mode": "batch"}, "mode: item does without"),
        (refused(400, "This model's maximum context length is 4096 tokens."), {}, "lower max_review_chars"),
        (refused(400, "too big", code="context_length_exceeded"), {}, "lower max_review_chars"),
        (refused(429, "pay first", code="insufficient_quota"), {}, "pay first"),
        (Reply("<html>hello</html>", headers={"content-type": "text/html"}), {}, "goes up to and with /v1"),
        (Reply({"object": "something"}), {}, "goes up to and with /v1"),
    ],
)
def test_a_refusal_ends_at_once_and_says_what_to_do(monkeypatch, reply, settings, expected):
    monkeypatch.setenv("OUR_KEY", KEY)
    with stub_server(say=lambda _: reply) as server, pytest.raises(WinnowError) as caught:
        judge_with(server, **settings)
    message = str(caught.value)
    assert expected in message
    assert server.base_url in message
    assert not isinstance(reply.body, dict) or "error" not in reply.body or reply.body["error"]["message"] in message
    assert len(server.bodies) <= 16  # none a second time


def test_one_refusal_ends_the_others_without_a_word(capfd, caplog):
    with stub_server(say=once(refused(401, "expired")), delay_s=0.02) as server:
        with pytest.raises(WinnowError, match="expired"):
            judge_with(server, texts(6))
        time.sleep(0.2)
        assert len(server.bodies) <= 2 * 16  # those that were under way, of 48
    assert len(capfd.readouterr().err.splitlines()) == 1  # that it is no vLLM server
    assert "exception" not in caplog.text


def test_a_far_endpoint_without_a_key_is_refused_before_any_request():
    judge = OpenAIEndpoint(OpenAIJudge(backend="openai", base_url="https://judge.invalid/v1", model="m"))
    with pytest.raises(WinnowError, match="set OPENAI_API_KEY"):
        judge.judge(texts(1), ITEMS)


@pytest.mark.parametrize(
    ("address", "said"), [("localhost:8000/v1", "is no address"), ("http://me:pass@host/v1", "user or password")]
)
def test_an_address_that_cannot_be_used_or_shown_is_refused_at_once(address, said):
    with pytest.raises(ValidationError, match=said) as caught:
        OpenAIJudge(backend="openai", base_url=address, model="m")
    assert "me:pass" not in caught.value.errors()[0]["msg"]


def test_the_key_is_sent_and_written_nowhere(monkeypatch, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OUR_KEY", KEY)
    turn = iter([refused(500, f"trouble with {KEY}")])
    with stub_server(say=lambda _: next(turn, refused(401, f"Incorrect key {KEY}"))) as server:
        with pytest.raises(WinnowError, match="Incorrect key <OUR_KEY>") as caught:
            judge_with(server, mode="batch", api_key_env="OUR_KEY")
        assert all(headers["authorization"] == f"Bearer {KEY}" for _, _, headers, _ in server.asked)
        assert KEY not in OpenAIEndpoint(server.settings(api_key_env="OUR_KEY")).identity.key
    written = capfd.readouterr()
    assert "trouble with <OUR_KEY>" in written.err
    assert KEY not in written.err + written.out + caplog.text + str(caught.value)
    assert caught.value.__cause__ is None


def test_the_library_is_imported_only_where_something_is_asked():
    code = """
import sys
from winnow.core.config.signals import OpenAIJudge
from winnow.scoring.openai_api import OpenAIEndpoint
OpenAIEndpoint(OpenAIJudge(backend="openai", base_url="http://127.0.0.1:1/v1", model="m")).identity
assert "openai" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=SCRIPTS)


# -------------------------------------------------------------------------------------------- identity


def identity(**changes):
    variant = changes.pop("variant", "")
    settings = {"backend": "openai", "base_url": "http://127.0.0.1:1/v1", "model": "m"} | changes
    return OpenAIEndpoint(OpenAIJudge(**settings), variant).identity


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"revision": "2"},
        {"mode": "batch"},
        {"min_mass": 0.2},
        {"max_review_chars": 9000},
        {"variant": "retest"},
    ],
)
def test_what_shapes_a_verdict_is_judged_anew(change):
    assert identity(**change).key != identity().key


def test_what_shapes_no_verdict_is_not():
    assert identity(base_url="https://b/v1", concurrency=3, timeout_s=1, patience_s=1, seed=5) == identity()
    assert identity(mode="batch", seed=5) != identity(mode="batch")
    assert identity(mode="batch", thinking=True) != identity(mode="batch")
    assert identity(mode="batch", min_mass=0.3) == identity(mode="batch")
