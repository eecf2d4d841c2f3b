"""One OpenAI-compatible endpoint, asked within its limits, with patience and with clear errors.

It carries requests and knows nothing of reviews: nothing here changes a verdict, so no judge's identity has a hash of
this file, and mending it judges nothing anew. What is asked and how answers are read is in openai_api.py.
"""

import asyncio
import math
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from winnow.core.config.signals import OpenAIJudge
from winnow.core.errors import WinnowError
from winnow.core.ids import unit_interval
from winnow.core.log import log

if TYPE_CHECKING:  # the library takes half a second to import, and a shard that the cache holds asks nothing
    from openai import APIConnectionError, APIStatusError, AsyncOpenAI
    from openai.types.chat.chat_completion import Choice

T = TypeVar("T")
Body = dict[str, Any]

_PASSING = frozenset({408, 409, 429})  # and all from 500: the same request may be answered later
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 10.0
_SAY_EVERY_S = 10.0  # a server that is away is one line now and then, not one for each request
_TOO_LONG = re.compile(r"context[ _](?:length|window)|maximum context|max_model_len|too many tokens", re.IGNORECASE)


class Endpoint:
    """Sends requests, so many at once and a minute as the settings allow, until they are answered or refused."""

    def __init__(self, settings: OpenAIJudge) -> None:
        """Remember the settings; nothing is sent."""
        self._settings = settings
        self._gap_s = 60 / settings.requests_per_minute if settings.requests_per_minute else 0.0
        self._next_s = self._said_s = -math.inf  # on the monotonic clock
        self._limit = "max_tokens"
        self._key = os.environ.get(settings.api_key_env, "").strip()
        self._client: AsyncOpenAI
        self._slots: asyncio.Semaphore

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Hold connections open, for the event loop that runs now.

        Raises:
            WinnowError: if the address is none, or there is no key and the endpoint is not on this machine.
        """
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient  # noqa: PLC0415 - slow; other judges need none

        settings, here = self._settings, _is_loopback(self._settings.base_url)
        if not self._key and not here:
            problem = f"needs a key, and the environment variable {settings.api_key_env} is not set"
            raise WinnowError(settings.base_url, problem, f"set {settings.api_key_env}, or name another in api_key_env")
        async with AsyncOpenAI(
            base_url=settings.base_url,
            api_key=self._key or "none",  # the library wants some; a server on loopback mostly wants none
            timeout=settings.timeout_s,
            max_retries=0,  # the library's own retries end long before a server has started again
            http_client=DefaultAsyncHttpxClient(trust_env=not here),  # a proxy does not know our loopback
        ) as self._client:
            self._slots = asyncio.Semaphore(settings.concurrency)
            yield

    async def complete(self, body: Body, max_tokens: int) -> "Choice":
        """Return the one choice of a chat completion at temperature 0.

        Args:
            body: messages and further fields of the request.
            max_tokens: the longest answer.

        Raises:
            WinnowError: if the server refuses, has not answered for too long, or answers with something else.
        """
        from openai import APIStatusError  # noqa: PLC0415 - as above
        from openai.types.chat import ChatCompletion  # noqa: PLC0415

        limit = self._limit

        async def send() -> ChatCompletion:
            nonlocal limit
            limit = self._limit  # of now: while this waited for its turn, another may have found out
            request = body | {"model": self._settings.model, "temperature": 0, limit: max_tokens}
            return await self._client.post("/chat/completions", cast_to=ChatCompletion, body=request)

        try:
            answer = await self._patiently(send)
        except APIStatusError as error:
            if limit == "max_tokens" and "max_completion_tokens" in _said(error):
                self._limit = "max_completion_tokens"  # newer models know the limit by this name only
                return await self.complete(body, max_tokens)
            raise self._refused(error) from None
        if not isinstance(answer, ChatCompletion) or not answer.choices:
            problem = f"answered with something else than a chat completion: {str(answer)[:200]!r}"
            raise WinnowError(self._settings.base_url, self._without_key(problem), "base_url goes up to and with /v1")
        return answer.choices[0]

    async def look_up(self, path: str, body: Body | None = None) -> Body:
        """Return what the server says under a path beside /v1, empty if it does not know it.

        Args:
            path: from the server's root, with a slash.
            body: to be sent; None gets.
        """
        from openai import APIStatusError  # noqa: PLC0415 - as above

        url = self._settings.base_url.rstrip("/").removesuffix("/v1") + path
        try:
            if body is None:
                found = await self._patiently(lambda: self._client.get(url, cast_to=object))
            else:
                found = await self._patiently(lambda: self._client.post(url, cast_to=object, body=body))
        except APIStatusError:
            return {}
        return found if isinstance(found, dict) else {}

    # ------------------------------------------------------------------------------------- patience

    async def _patiently(self, request: Callable[[], Awaitable[T]]) -> T:
        """Send a request until it is answered, or refused for good.

        Its place among those under way is held while it waits, so that a server that is away or overloaded is not
        asked by everyone at once.

        Raises:
            APIStatusError: if it is refused, with a status that another try will not change.
            WinnowError: if there was no answer for `patience_s` from the first failure on.
        """
        from openai import APIConnectionError, APIStatusError  # noqa: PLC0415

        async with self._slots:
            failures, failing_since_s = 0, 0.0
            while True:
                await asyncio.sleep(self._turn_s())
                asked_s = 0.0
                try:
                    return await request()
                except APIStatusError as error:
                    if not _is_passing(error):
                        raise
                    problem, asked_s = f"status {error.status_code}: {_said(error)}", _retry_after_s(error)
                except APIConnectionError as error:
                    problem = _cause(error)
                except JSONDecodeError as error:  # such as a gateway's page
                    problem = f"an answer that cannot be read: {error}"
                failures += 1
                failing_since_s = failing_since_s or time.monotonic()
                await self._wait(self._without_key(problem), failures, failing_since_s, asked_s)

    async def _wait(self, problem: str, failures: int, failing_since_s: float, asked_s: float) -> None:
        """Wait before the next try: longer each time, and no shorter than the server asks."""
        settings = self._settings
        left_s = settings.patience_s - (time.monotonic() - failing_since_s)
        if left_s <= 0 or asked_s > left_s:
            asked = f", and asks to wait {asked_s:.0f} s" if asked_s else ""
            raise WinnowError(
                settings.base_url,
                f"gave no answer within patience_s = {settings.patience_s} s{asked}; last: {problem}",
                "see whether the server is up and how many requests it allows, then run again: what was judged is kept",
            )
        backoff_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(failures - 1, 10))
        # Not all at the same time: by half as much again, drawn from the moment, as that changes no result.
        backoff_s *= 1 + 0.5 * unit_interval(f"{os.getpid()} {time.monotonic_ns()}")
        if time.monotonic() - self._said_s > _SAY_EVERY_S:
            self._said_s = time.monotonic()
            log(f"{settings.base_url}: {problem}; trying again for {left_s:.0f} s")
        await asyncio.sleep(max(asked_s, min(backoff_s, left_s)))

    def _turn_s(self) -> float:
        """Return in how many seconds the caller may send, and take that moment from the others."""
        now = time.monotonic()
        turn = max(now, self._next_s)
        self._next_s = turn + self._gap_s
        return turn - now

    # --------------------------------------------------------------------------------------- errors

    def _refused(self, error: "APIStatusError") -> WinnowError:
        """Say what the server refuses and what to change."""
        settings, said = self._settings, self._without_key(_said(error))
        if _TOO_LONG.search(f"{said} {error.code}"):
            fix = f"lower max_review_chars (now {settings.max_review_chars}), or serve the model with more room"
        elif error.status_code in {401, 403}:
            state = "is not accepted here" if self._key else "is not set"
            fix = f"the environment variable {settings.api_key_env} {state}: give it a key for this endpoint and model"
        elif error.status_code == 404:
            fix = "check model, and base_url, which goes up to and with /v1"
        elif settings.mode == "item":
            fix = "item mode needs a server that gives log-probabilities; mode: batch does without"
        else:
            fix = "batch mode needs a server that knows response_format json_schema; mode: item does without"
        where = f"{settings.base_url}, model {settings.model}"
        return WinnowError(where, f"refused with status {error.status_code}: {said}", fix)

    def _without_key(self, said: str) -> str:
        """Some servers repeat the key that they do not like."""
        return said.replace(self._key, f"<{self._settings.api_key_env}>") if self._key else said


def _is_loopback(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_passing(error: "APIStatusError") -> bool:
    if error.code == "insufficient_quota":  # a 429 that waiting does not mend
        return False
    return error.status_code in _PASSING or error.status_code >= 500


def _said(error: "APIStatusError") -> str:
    """Return the server's own message."""
    body = error.body
    message = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(message or error.message).split())[:500]


def _cause(error: "APIConnectionError") -> str:
    cause = error.__cause__
    return f"{error} {type(cause).__name__}: {cause}" if cause else str(error)


def _retry_after_s(error: "APIStatusError") -> float:
    """Return how long the server asks to wait, as its header Retry-After says in seconds or as a date; else 0."""
    value = error.response.headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 0.0
