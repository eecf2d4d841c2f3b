"""The OpenAI-compatible judge: a language model behind an endpoint, such as `vllm serve`.

Item mode asks one question a request, for one token, of which the log-probabilities are read:

- of a vLLM server, by its extension `logprob_token_ids`: those of all tokens that spell yes or no, exactly;
- of any other, among the 20 likeliest tokens, whose text, without spaces and case, is yes or no. What is
  not among them is unknown and is not invented: with neither yes nor no there is no answer. With one of them, and
  with a probability of at least 1/2, the other cannot change the verdict and is taken as 0; with less there is no
  answer.

Batch mode asks everything at once, for JSON after a schema, and again in another order where that cannot be read.

Requests are sent review by review, so that the questions about one find it in the server's prefix cache. To send the
first alone and the others after its answer saves nothing with vLLM, which shares what is still being computed:
25,700 of 309,600 prompt tokens were computed either way.
"""

import asyncio
import math
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from winnow.core.config.signals import OpenAIJudge
from winnow.core.errors import WinnowError
from winnow.core.ids import canonical_json, content_key
from winnow.core.log import log
from winnow.scoring import prompting
from winnow.scoring.checklist import Item
from winnow.scoring.judge import Answer, Identity, Judgement, Variant
from winnow.scoring.openai_client import Body, Endpoint

if TYPE_CHECKING:
    from openai.types.chat.chat_completion import Choice

ATTEMPTS = 3  # in batch mode: the first, and two more in other orders

_LIKELIEST = 20  # the most that such servers list
_SHAPING = {"item": {"min_mass", "max_review_chars"}, "batch": {"thinking", "thinking_tokens", "max_review_chars"}}

T = TypeVar("T")
LogP = tuple[float, float] | None


class Reading(NamedTuple):
    """How a server is asked for yes and no, and which tokens of its answer are one of them.

    Attributes:
        fields: of the request.
        tokens: a token as the answer names it → "yes" or "no"; None where they are told by their text.
    """

    fields: Body
    tokens: dict[str, str] | None


class OpenAIEndpoint:
    """Judges with a model behind an endpoint. Nothing is sent before the first text."""

    def __init__(self, settings: OpenAIJudge, variant: Variant = "") -> None:
        """Remember the settings.

        Args:
            settings: of the study.
            variant: how to judge, see judge.Identity.
        """
        self._settings = settings
        self._variant = variant
        self._endpoint = Endpoint(settings)
        self._vllm: str | None = None  # the server's version, "" if it is another server, None while unknown
        self._reading: Reading | None = None
        # Enough that the last ones of a chunk, which leave the server half idle, are few; in item mode each is many.
        self.chunk_texts = settings.concurrency if settings.mode == "item" else 4 * settings.concurrency

    @cached_property
    def identity(self) -> Identity:
        """The model as the study names it, and everything of ours that shapes a verdict.

        Where the endpoint is (base_url) is no part of it: a model that moved to another port or node is the same
        one, and nothing is judged anew. Which model and version answers there, the study must say by `revision`.
        """
        settings, own = self._settings, Path(__file__).read_text(encoding="utf-8")
        shaping = canonical_json(settings.model_dump(mode="json", include=_SHAPING[settings.mode]))
        return Identity(
            model=settings.model,
            revision=settings.revision,
            prompt_sha=content_key([prompting.prompt_sha(settings.mode), own, shaping]),
            mode=settings.mode,
            seed=settings.seed if settings.mode == "batch" else None,
            variant=self._variant,
        )

    def judge(self, texts: Sequence[str], items: Sequence[Item]) -> list[Judgement]:
        """Return one judgement per text, in their order, whatever order the server answers in."""
        return asyncio.run(self._judge(texts, items))

    async def _judge(self, texts: Sequence[str], items: Sequence[Item]) -> list[Judgement]:
        by_item = self._settings.mode == "item"
        judge_one = self._by_item if by_item else self._by_batch
        async with self._endpoint.opened():
            if self._vllm is None:
                self._vllm = str((await self._endpoint.look_up("/version")).get("version", ""))
            if by_item and self._reading is None:
                self._reading = await self._find_reading()
            return await _together(judge_one(text, items) for text in texts)

    # ------------------------------------------------------------------------------------ item mode

    async def _by_item(self, text: str, items: Sequence[Item]) -> Judgement:
        """Ask one question after the other; the first token answers."""
        asked = await _together(self._ask(text, item) for item in items)
        return prompting.item_judgement(
            {item.id: log_p for item, (log_p, _) in zip(items, asked, strict=True)},
            min_mass=self._settings.min_mass,
            left_out=asked[0][1],  # the same for all: a question is not shortened
        )

    async def _ask(self, text: str, item: Item) -> tuple[LogP, int]:
        """Return log P(yes) and log P(no) of one question, and how many characters of the text were left out."""
        assert self._reading is not None
        parts = prompting.item_parts(text, item, reordered=self._variant == "reordered")
        messages, left_out = self._messages(parts)
        choice = await self._endpoint.complete(messages | self._reading.fields | self._template(), 1)
        if choice.logprobs is None and choice.finish_reason in {"stop", "length"}:
            where = f"{self._settings.base_url}, model {self._settings.model}"
            raise WinnowError(where, "gives no log-probabilities, and item mode lives by them", "use mode: batch")
        return _log_p(_first_token(choice), self._reading.tokens), left_out

    async def _find_reading(self) -> Reading:
        """Find out how this server gives the probabilities of yes and no, by asking it."""
        spelled = {token: answer for answer, words in _SPELLINGS.items() for token in await self._tokens(words)}
        if set(spelled.values()) == set(_SPELLINGS):
            fields: Body = {
                "logprobs": True,
                "top_logprobs": 0,  # together with ids, vLLM mixes the two up
                "logprob_token_ids": sorted(spelled),
                "return_tokens_as_token_ids": True,  # by their text, two tokens can look the same
            }
            exact = Reading(fields, {f"token_id:{token}": answer for token, answer in spelled.items()})
            messages = {"messages": [{"role": "user", "content": "Is this a question?"}]}
            told = _first_token(await self._endpoint.complete(messages | fields | self._template(), 1))
            if all(f"token_id:{token}" in told for token in spelled):
                log(f"vLLM {self._vllm}: asking for the {len(spelled)} tokens that spell yes or no")
                return exact
        log(f"{self._settings.base_url}: looking for yes and no among the {_LIKELIEST} likeliest tokens")
        return Reading({"logprobs": True, "top_logprobs": _LIKELIEST}, None)

    async def _tokens(self, spellings: Sequence[str]) -> set[int]:
        """Return the ids of the tokens that spell an answer; none of a server that is not vLLM."""
        if not self._vllm:
            return set()
        bodies = [{"model": self._settings.model, "prompt": word, "add_special_tokens": False} for word in spellings]
        encoded = [(await self._endpoint.look_up("/tokenize", body)).get("tokens", []) for body in bodies]
        return {tokens[0] for tokens in encoded if len(tokens) == 1}

    # ----------------------------------------------------------------------------------- batch mode

    async def _by_batch(self, text: str, items: Sequence[Item]) -> Judgement:
        """Ask all questions at once; where the answer cannot be read, ask again in another order."""
        seed, reordered = self._settings.seed, self._variant == "reordered"
        for attempt in range(ATTEMPTS):
            messages, left_out = self._messages(
                prompting.batch_parts(text, items, seed=seed, attempt=attempt, reordered=reordered)
            )
            body = messages | self._template()
            # As many tokens as the answer has characters, and spaces that nothing may forbid: no tokenizer needs more.
            room = len(canonical_json({item.id: "yes" for item in items})) + 8 * len(items) + 16
            if self._settings.thinking:
                room += self._settings.thinking_tokens  # a schema would forbid the thoughts
            else:
                # A server may hold the model to the order of the schema: it must be the order of the questions.
                order = prompting.batch_order(text, items, seed=seed, attempt=attempt, reordered=reordered)
                schema = {"name": "answers", "strict": True, "schema": prompting.answer_schema(order)}
                body |= {"response_format": {"type": "json_schema", "json_schema": schema}}
            choice = await self._endpoint.complete(body, room)
            answers, problem = self._read(choice, items)
            if problem is None:
                return prompting.batch_judgement(answers, None, left_out)
        return prompting.batch_judgement(answers, f"{problem}; said: {choice.message.content or ''}", left_out)

    def _read(self, choice: "Choice", items: Sequence[Item]) -> tuple[dict[str, Answer], str | None]:
        """Return the answers, and what was wrong with the answer, if anything."""
        if choice.finish_reason != "stop":
            return dict.fromkeys(item.id for item in items), f"stopped by {choice.finish_reason}"
        # Some servers keep the thoughts apart, under one of two names; what is left is the answer alone.
        fields = choice.message.model_extra or {}
        apart = bool(fields.get("reasoning_content") or fields.get("reasoning"))
        return prompting.read_batch(choice.message.content or "", items, thinking=self._settings.thinking and not apart)

    # -------------------------------------------------------------------------------------- prompts

    def _messages(self, parts: prompting.Parts) -> tuple[Body, int]:
        """Return the turns of a request, and how many characters of the review they leave out."""
        review, left_out = prompting.head_and_tail(parts.review, self._settings.max_review_chars, prompting.GAP)
        user = f"{parts.before}{''.join(review)}{parts.after}"
        turns = [{"role": "system", "content": parts.system}, {"role": "user", "content": user}]
        return {"messages": turns}, left_out

    def _template(self) -> Body:
        """Tell a vLLM server whether models that can do both shall think; others would refuse the field."""
        return {"chat_template_kwargs": {"enable_thinking": self._settings.thinking}} if self._vllm else {}


_SPELLINGS = {"yes": prompting.YES, "no": prompting.NO}
_WORDS = {spelling.strip().casefold(): answer for answer, words in _SPELLINGS.items() for spelling in words}


async def _together(asked: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return all results, in the order of what is asked. If one fails, the others end before the error goes on."""
    tasks = [asyncio.create_task(coroutine) for coroutine in asked]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _first_token(choice: "Choice") -> dict[str, float]:
    """Return the log-probabilities that a server lists for an answer's first token; empty without one."""
    content = choice.logprobs.content if choice.logprobs else None
    if not content:
        return {}
    return {content[0].token: content[0].logprob} | {entry.token: entry.logprob for entry in content[0].top_logprobs}


def _log_p(listed: Mapping[str, float], tokens: Mapping[str, str] | None) -> LogP:
    """Return log P(yes) and log P(no), each summed over its spellings; None where they are not known.

    Args:
        listed: token → log-probability.
        tokens: all that spell an answer; None if they are told by their text, and some may not be listed.
    """
    if tokens is not None:
        if not tokens.keys() <= listed.keys():
            return None
        answers = tokens
    else:
        answers = {token: _WORDS[word] for token in listed if (word := token.strip().casefold()) in _WORDS}
    sides = [[listed[token] for token in answers if answers[token] == side] for side in _SPELLINGS]
    yes, no = map(_log_sum, sides)
    if not all(sides) and max(yes, no) < math.log(0.5):
        return None
    return yes, no


def _log_sum(values: Sequence[float]) -> float:
    """Return log of the sum of exp(values); -inf for none."""
    highest = max(values, default=-math.inf)
    if highest == -math.inf:
        return highest
    return highest + math.log(sum(math.exp(value - highest) for value in values))
