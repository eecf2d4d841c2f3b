"""The OpenAI-compatible judge against a real `vllm serve` on loopback, also killed and started again in mid-run."""

import json
import math
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from scoring_fixtures import checklist
from winnow.core.config.signals import OpenAIJudge
from winnow.core.ids import sha256_text
from winnow.core.manifest import Tally
from winnow.scoring import prompting
from winnow.scoring.cache import Cache, judge_key
from winnow.scoring.judging import judged_rows
from winnow.scoring.openai_api import OpenAIEndpoint

REVIEWS = 24
START_S = 300  # half a minute on two idle cores
LIST = checklist()
SERVING = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GB
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}
FLAGS = {
    "--host": "127.0.0.1",
    "--served-model-name": "tiny",
    "--dtype": "float32",  # so that another order of requests moves no verdict
    "--max-model-len": "4096",
    "--max-num-seqs": "32",
    "--max-logprobs": "-1",  # no limit, for one test
    "--block-size": "32",
    "--structured-outputs-config": json.dumps({"backend": "xgrammar", "disable_any_whitespace": True}),
}
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy does not know our loopback


class Server:
    """`vllm serve` with a tiny model, as one process group, always on the same port."""

    def __init__(self, program: Path, model: Path, logs: Path) -> None:
        self.program, self.model, self.logs = program, model, logs
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.starts, self._process = 0, None

    @property
    def root(self):
        return f"http://127.0.0.1:{self.port}"

    def launch(self):
        self.starts += 1
        flags = [part for flag in FLAGS.items() for part in flag]
        command = [self.program, "serve", self.model, "--port", str(self.port), "--enforce-eager", *flags]
        with (self.logs / f"serve-{self.starts}.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, env=os.environ | SERVING, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait(self):
        """Wait until it answers."""
        end = time.monotonic() + START_S
        while True:
            try:
                return _OPENER.open(f"{self.root}/health", timeout=5).close()
            except (urllib.error.URLError, OSError):
                log = (self.logs / f"serve-{self.starts}.log").read_text()[-3000:]
                assert self._process.poll() is None, f"the server ended:\n{log}"
                assert time.monotonic() < end, f"the server is not ready after {START_S} s:\n{log}"
                time.sleep(0.2)

    def kill(self):
        """End it and all its workers with SIGKILL."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def likelihoods(self, system, user):
        """Return every token's text and log-probability of being the first of an answer."""
        turns = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        body = {"model": "tiny", "messages": turns, "max_tokens": 1, "temperature": 0, "logprobs": True}
        answer = self._post("/v1/chat/completions", body | {"top_logprobs": -1})
        first = answer["choices"][0]["logprobs"]["content"][0]
        return [(entry["token"], entry["logprob"]) for entry in first["top_logprobs"]]

    def is_one_token(self, word):
        """A vocabulary may have tokens that its tokenizer never makes of their text."""
        return self._post("/tokenize", {"prompt": word, "add_special_tokens": False})["count"] == 1

    def _post(self, path, body):
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"{self.root}{path}", data, {"content-type": "application/json"})
        with _OPENER.open(request, timeout=60) as answer:
            return json.load(answer)

    def judge(self, **changes):
        settings = {"backend": "openai", "base_url": f"{self.root}/v1", "model": "tiny", "patience_s": START_S}
        # A model of random weights hardly ever says yes or no: min_mass 0 takes what little it says.
        return OpenAIEndpoint(OpenAIJudge(**settings | {"min_mass": 0, "concurrency": 4} | changes))


@pytest.fixture(scope="module")
def server(judge_environment, tiny_judge_model, tmp_path_factory):
    server = Server(judge_environment / "bin" / "vllm", tiny_judge_model, tmp_path_factory.mktemp("serve"))
    server.launch()
    try:
        server.wait()
        yield server
    finally:
        server.kill()


def reviews():
    says = ["novelty is limited", "the baselines are weak", "the proof convinces", "it is hard to follow"]
    return [
        f"Review {n}. I find that {says[n % 4]}, and that {says[n // 4 % 4]}. " * (1 + n % 5) for n in range(REVIEWS)
    ]


def table():
    return [
        {"response_id": f"r{number:02d}", "prompt_id": "p", "text": text, "text_sha256": sha256_text(text)}
        for number, text in enumerate(reviews())
    ]


def kept_keys(folder):
    lines = (json.loads(line) for file in folder.rglob("*.jsonl") for line in file.read_text().splitlines())
    return [line["key"] for line in lines if "key" in line]


def judge_rows(folder, judge):
    with Cache(folder / judge_key(judge.identity, LIST), "own.jsonl") as cache:
        return list(judged_rows(table(), judge, LIST, cache, Tally()))


def test_batch_mode_gives_an_answer_by_the_schema(server):
    for judgement in server.judge(mode="batch").judge(reviews()[:4], LIST.questions):
        assert judgement.raw is None
        assert judgement.answers.keys() == {item.id for item in LIST.questions}
        assert set(judgement.answers.values()) <= {"yes", "no"}


def test_the_probabilities_are_those_of_the_whole_vocabulary(server):
    """Asked for by the tokens' ids, they are what the list of all tokens says by the tokens' text."""
    text, item = reviews()[5], LIST.questions[0]
    (judgement,) = server.judge().judge([text], [item])
    parts = prompting.item_parts(text, item, reordered=False)
    everything = server.likelihoods(parts.system, f"{parts.before}{parts.review}{parts.after}")
    assert sum(math.exp(log_p) for _, log_p in everything) == pytest.approx(1, abs=1e-3)
    for log_p, spellings in zip(judgement.log_p[item.id], (prompting.YES, prompting.NO), strict=True):
        words = [word for word in spellings if server.is_one_token(word)]
        found = [math.exp(value) for token, value in everything if token in words]
        assert found
        assert math.exp(log_p) == pytest.approx(sum(found), rel=1e-3)
    yes, no = map(math.exp, judgement.log_p[item.id])
    assert judgement.p_yes[item.id] == pytest.approx(yes / (yes + no), abs=1e-5)


def test_a_server_killed_and_started_again_in_mid_run_loses_and_doubles_nothing(server, tmp_path, capfd):
    undisturbed = judge_rows(tmp_path / "undisturbed", server.judge())
    kept_at_kill = []

    def kill_in_mid_run():
        while len(kept_keys(tmp_path / "disturbed")) < REVIEWS // 3:
            time.sleep(0.005)
        server.kill()
        kept_at_kill.append(len(kept_keys(tmp_path / "disturbed")))
        server.launch()

    killer = threading.Thread(target=kill_in_mid_run)
    killer.start()
    disturbed = judge_rows(tmp_path / "disturbed", server.judge())
    killer.join()

    assert kept_at_kill[0] < REVIEWS
    assert "trying again" in capfd.readouterr().err
    assert [row["response_id"] for row in disturbed] == [row["response_id"] for row in table()]
    keys = kept_keys(tmp_path / "disturbed")
    assert len(keys) == len(set(keys)) == REVIEWS
    for one, other in zip(undisturbed, disturbed, strict=True):
        assert one["parse_status"] == other["parse_status"] == "ok"
        assert one["answers"] == other["answers"]
        assert other["p_yes"] == pytest.approx(one["p_yes"], abs=0.02)
