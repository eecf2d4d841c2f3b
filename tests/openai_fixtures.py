"""A scripted stub of an OpenAI-compatible server on loopback: it says what a test tells it to say."""

import json
import math
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from winnow.core.config.signals import OpenAIJudge
from winnow.core.ids import unit_interval

TOKENS = {"yes": [1], "Yes": [2], " yes": [3], "no": [4], "No": [5], " no": [6]}  # others are two tokens long


@dataclass
class Reply:
    """What the stub sends back. A status of 0 hangs up without a word."""

    body: object = None
    status: int = 200
    headers: dict = field(default_factory=dict)


def said(content, finish_reason="stop", **message):
    """A chat completion with a text."""
    return Reply(_completion({"content": content} | message, finish_reason, None))


def listed(log_p):
    """A chat completion of one token, with log-probabilities by token; the likeliest is said."""
    entries = [{"token": token, "logprob": value, "bytes": None} for token, value in log_p.items()]
    first = max(entries, key=lambda entry: entry["logprob"])
    logprobs = {"content": [first | {"top_logprobs": entries}]}
    return Reply(_completion({"content": first["token"]}, "length", logprobs))


def refused(status, message, code=None, **headers):
    return Reply(
        {"error": {"message": message, "code": code}}, status, {k.replace("_", "-"): headers[k] for k in headers}
    )


def _completion(message, finish_reason, logprobs):
    choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": finish_reason}
    choice["logprobs"] = logprobs
    return {"id": "0", "object": "chat.completion", "created": 0, "model": "stub", "choices": [choice]}


def asked(body):
    """The user's turn of a request."""
    return body["messages"][-1]["content"]


def p_yes_of(prompt):
    """What `lawful` says to a prompt: another probability for each, in [0.02, 0.98]."""
    return 0.02 + 0.96 * unit_interval(prompt)


def lawful(body):
    """Answers that follow from the prompt alone: yes and no share 0.9 of the probability, in two spellings each."""
    if "response_format" in body:
        names = body["response_format"]["json_schema"]["schema"]["required"]
        return said(json.dumps({name: "yes" if p_yes_of(asked(body) + name) >= 0.5 else "no" for name in names}))
    yes = p_yes_of(asked(body))
    shares = {"Yes": 0.6 * yes, " yes": 0.3 * yes, "No": 0.6 * (1 - yes), " no": 0.3 * (1 - yes), "The": 0.1}
    if ids := body.get("logprob_token_ids"):
        # As vLLM does: the token that is said, and those asked for; those not in `shares` are next to impossible.
        by_id = {TOKENS[token][0]: share for token, share in shares.items() if token in TOKENS}
        return listed(
            {f"token_id:{n}": math.log(by_id[n]) if n in by_id else -9999.0 for n in ids} | {"token_id:9": -2.3}
        )
    return listed({token: math.log(share) for token, share in shares.items()})


def vllm(path, body):
    """What a vLLM server says beside /v1; others know nothing there."""
    if path == "/version":
        return Reply({"version": "0.0.stub"})
    return Reply({"tokens": TOKENS.get(body["prompt"], [7, 8]), "count": 0, "max_model_len": 4096})


def nothing(path, body):
    return refused(404, "Not Found")


class StubServer:
    """Answers chat completions as `say(body)` tells it, and the rest as `beside(path, body)` does.

    Attributes:
        asked: (moment, path, headers, body) of every request, in order of arrival.
        most_at_once: how many were under way at the same time.
    """

    def __init__(self, say=lawful, beside=nothing, delay_s=0.0):
        self.say, self.beside, self.delay_s = say, beside, delay_s
        self.asked, self.most_at_once, self.port = [], 0, 0
        self._under_way, self._lock, self._server = 0, threading.Lock(), None

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def bodies(self):
        """Of the chat completions."""
        return [body for _, path, _, body in self.asked if path == "/v1/chat/completions"]

    def settings(self, **changes):
        return OpenAIJudge(**({"backend": "openai", "base_url": self.base_url, "model": "stub"} | changes))

    def start(self):
        """Listen, on the same port as before."""
        self._server = _Listener(("127.0.0.1", self.port), _handler(self))
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self):
        """Refuse connections from now on."""
        self._server.shutdown()
        self._server.server_close()

    def die_for(self, seconds):
        """Stop now and come back later, without waiting for it."""

        def gone():
            self.stop()
            time.sleep(seconds)
            self.start()

        thread = threading.Thread(target=gone)
        thread.start()
        return thread

    def reply(self, path, headers, body):
        with self._lock:
            self.asked.append((time.monotonic(), path, headers, body))
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            time.sleep(self.delay_s)
            return self.say(body) if path == "/v1/chat/completions" else self.beside(path, body)
        finally:
            with self._lock:
                self._under_way -= 1


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """A client that went away is no news."""


def _handler(stub):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self._answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def do_GET(self):
            self._answer(None)

        def _answer(self, body):
            reply = stub.reply(self.path, dict(self.headers), body)
            if reply.status == 0:
                return
            data = reply.body.encode() if isinstance(reply.body, str) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in ({"content-type": "application/json"} | reply.headers).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            """Keep quiet."""

    return Handler


@contextmanager
def stub_server(**how):
    server = StubServer(**how)
    server.start()
    try:
        yield server
    finally:
        server.stop()
