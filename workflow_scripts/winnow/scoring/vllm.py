"""The vLLM judge: a language model in vLLM's offline engine, one engine for each shard.

In item mode the review stands before the question, so all questions of a review share its prefix, which is
computed once and found in the engine's prefix cache from then on. That holds where the requests of one review
follow each other, and so they are handed over. One token is generated, of which only the
probabilities matter: of the tokens that spell yes and of those that spell no.

Same settings, same machine, same rows: same bytes. The prefix cache is emptied before every chunk of reviews, so
that a run that was killed and goes on at a chunk's start computes what an undisturbed run computes.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from winnow.core.base_model import MODEL_FILE, read_base_model
from winnow.core.config.signals import VllmJudge
from winnow.core.errors import WinnowError
from winnow.core.files import read_json
from winnow.core.ids import canonical_json, content_key
from winnow.core.log import log
from winnow.core.model_folder import source_of_weights
from winnow.models import engine
from winnow.models.engine import start_engine
from winnow.scoring import prompting
from winnow.scoring.checklist import Item
from winnow.scoring.judge import Answer, Identity, Judgement, Variant

ATTEMPTS = 3  # in batch mode: the first, and two more in other orders
LEAST_REVIEW_TOKENS = 256  # a judge that can be shown no more of a review than this is set up wrongly

_TEXT = "\u241ewinnow review\u241e"  # stands for the review while the chat template is filled in

_STRUCTURED = {"backend": "xgrammar", "disable_any_whitespace": True}

Ids = list[int]


class Vllm:
    """Judges with a model in vLLM. The engine starts with the first text; a shard that is done starts none."""

    chunk_texts = 64

    def __init__(self, settings: VllmJudge, variant: Variant, model: Path | None) -> None:
        """Remember the settings.

        Args:
            settings: of the study.
            variant: how to judge, see judge.Identity.
            model: folder that prepare_model made.
        """
        if model is None:
            raise WinnowError("--model", "is absent, and a vLLM judge needs one", "give the folder of prepare_model")
        self._settings = settings
        self._variant = variant
        self._folder = model
        self._prompt_tokens = self._cached_tokens = 0

    @cached_property
    def identity(self) -> Identity:
        """The model by its commit or the hashes of its weights, and everything of ours that shapes a verdict."""
        model = read_base_model(self._folder)
        manifest = read_json(self._folder / "manifest.json")
        weights = model.revision or content_key([canonical_json(manifest["weights"])])
        own = "".join(Path(file).read_text(encoding="utf-8") for file in (__file__, engine.__file__))
        shaping = {"thinking", "thinking_tokens", "min_mass", "max_model_len", "dtype", "engine", "gpu"}
        settings = self._settings.model_dump(mode="json", include=shaping)
        return Identity(
            # A path says where a model lies, not which it is.
            model=model.source if model.revision else str(read_json(self._folder / MODEL_FILE)["kind"]),
            revision=f"{weights} on vllm {version('vllm')}",
            prompt_sha=content_key([prompting.prompt_sha(self._settings.mode), own, canonical_json(settings)]),
            mode=self._settings.mode,
            seed=self._settings.seed,
            variant=self._variant,
        )

    def judge(self, texts: Sequence[str], items: Sequence[Item]) -> list[Judgement]:
        """Return one judgement per text, in their order."""
        self._engine.reset_prefix_cache()
        judgements = self._by_item(texts, items) if self._settings.mode == "item" else self._by_batch(texts, items)
        self._log_tokens(len(items))
        return judgements

    # ------------------------------------------------------------------------------------ item mode

    def _by_item(self, texts: Sequence[str], items: Sequence[Item]) -> list[Judgement]:
        """Ask one question after the other of each text; the first token answers."""
        from vllm import SamplingParams  # noqa: PLC0415 - 5 s, and only where something is judged

        yes, no = self._spelled(prompting.YES, "yes"), self._spelled(prompting.NO, "no")
        sampling = SamplingParams(temperature=0, max_tokens=1, logprob_token_ids=yes + no, detokenize=False)
        prompts, left_out = [], []
        for text in texts:
            parts = [prompting.item_parts(text, item, reordered=self._variant == "reordered") for item in items]
            of_text, out = self._prompts(parts)
            prompts += of_text
            left_out.append(out)
        results = iter(self._generate(prompts, sampling))
        return [
            prompting.item_judgement(
                {item.id: _log_p(next(results), yes, no) for item in items},
                min_mass=self._settings.min_mass,
                left_out=out,
            )
            for out in left_out
        ]

    def _spelled(self, spellings: Sequence[str], answer: str) -> Ids:
        """Return the tokens that spell an answer."""
        encoded = [self._encode(spelling) for spelling in spellings]
        found = sorted({ids[0] for ids in encoded if len(ids) == 1})
        if not found:
            problem = f"the tokenizer has no single token that spells {answer!r}"
            raise WinnowError(self._folder, problem, "use another model, or mode: batch")
        return found

    # ----------------------------------------------------------------------------------- batch mode

    def _by_batch(self, texts: Sequence[str], items: Sequence[Item]) -> list[Judgement]:
        """Ask all questions of a text at once; where the answer cannot be read, ask again in another order."""
        judged: dict[int, Judgement] = {}
        open_ones = list(range(len(texts)))
        for attempt in range(ATTEMPTS):
            asked = [self._asked_at_once(texts[index], items, attempt) for index in open_ones]
            outputs = self._generate([prompt for prompt, _, _ in asked], [sampling for _, _, sampling in asked])
            for index, (_, left_out, _), output in zip(open_ones, asked, outputs, strict=True):
                answers, problem = self._read(output, items)
                raw = None if problem is None else f"{problem}; said: {output.text}"
                judged[index] = prompting.batch_judgement(answers, raw, left_out)
            open_ones = [index for index in open_ones if judged[index].parse_status != "ok"]
        return [judged[index] for index in range(len(texts))]

    def _asked_at_once(self, text: str, items: Sequence[Item], attempt: int) -> tuple[Ids, int, Any]:
        """Return the prompt with all questions, how much of the text it leaves out, and how to sample."""
        from vllm import SamplingParams  # noqa: PLC0415
        from vllm.sampling_params import StructuredOutputsParams  # noqa: PLC0415

        draw: dict[str, Any] = {
            "seed": self._settings.seed,
            "attempt": attempt,
            "reordered": self._variant == "reordered",
        }
        parts = prompting.batch_parts(text, items, **draw)
        longest = canonical_json({item.id: "yes" for item in items})
        room = 2 * len(self._encode(longest)) + 16  # twice, as a model may write spaces where nothing forbids them
        schema = None
        if self._settings.thinking:
            room += self._settings.thinking_tokens  # a schema would forbid the thoughts
        else:
            ordered = prompting.batch_order(text, items, **draw)
            schema = StructuredOutputsParams(json=prompting.answer_schema(ordered))
        prompts, left_out = self._prompts([parts], room)
        return prompts[0], left_out, SamplingParams(temperature=0, max_tokens=room, structured_outputs=schema)

    def _read(self, output: Any, items: Sequence[Item]) -> tuple[dict[str, Answer], str | None]:
        """Return the answers, and what was wrong with the output, if anything."""
        if output.finish_reason != "stop":
            return dict.fromkeys(item.id for item in items), f"stopped by {output.finish_reason}"
        return prompting.read_batch(output.text, items, thinking=self._settings.thinking)

    # -------------------------------------------------------------------------------------- prompts

    def _prompts(self, asked: Sequence[prompting.Parts], room_to_answer: int = 1) -> tuple[list[Ids], int]:
        """Return the token ids of prompts about one text, and how many of its tokens they leave out.

        Prefix, review and question are encoded one by one, so that all prompts of a text begin with the same
        tokens, whatever a tokenizer would merge across their borders.
        """
        ends = [self._template(parts) for parts in asked]
        head = self._encode(ends[0][0])
        tails = [self._encode(tail) for _, tail in ends]
        gap = self._encode(prompting.GAP)
        room = self._settings.max_model_len - room_to_answer - len(head) - max(map(len, tails))
        if room < LEAST_REVIEW_TOKENS:
            problem = f"{self._settings.max_model_len} tokens leave {room} for a review"
            fix = f"raise it by {LEAST_REVIEW_TOKENS - room} or more"
            raise WinnowError("signal.judge.max_model_len", problem, fix)
        review, left_out = prompting.head_and_tail(self._encode_data(asked[0].review), room, gap)
        return [head + review + tail for tail in tails], left_out

    def _template(self, parts: prompting.Parts) -> tuple[str, str]:
        """Return what the model's own chat template puts before and after the review."""
        from jinja2.exceptions import TemplateError  # noqa: PLC0415 - comes with vllm

        user = f"{parts.before}{_TEXT}{parts.after}"
        turns = [{"role": "system", "content": parts.system}, {"role": "user", "content": user}]
        options = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": self._settings.thinking}
        try:
            filled = self._tokenizer.apply_chat_template(turns, **options)
        except TemplateError:  # this model's template knows no system turn
            turns = [{"role": "user", "content": f"{parts.system}\n\n{user}"}]
            filled = self._tokenizer.apply_chat_template(turns, **options)
        head, _, tail = filled.partition(_TEXT)
        return head, tail

    def _encode(self, text: str) -> Ids:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _encode_data(self, text: str) -> Ids:
        """Encode a review so that none of its tokens is a special one, whatever tokens this model has."""
        for token in self._special:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return self._encode(text)

    @cached_property
    def _special(self) -> list[str]:
        """The tokens that a model reads as marks and not as text, the longest first."""
        added = self._tokenizer.added_tokens_decoder.values()
        named = {*self._tokenizer.all_special_tokens, *(token.content for token in added if token.special)}
        return sorted((token for token in named if len(token) > 1), key=lambda token: (-len(token), token))

    # --------------------------------------------------------------------------------------- engine

    @cached_property
    def _tokenizer(self) -> Any:
        return self._engine.get_tokenizer()

    @cached_property
    def _engine(self) -> Any:
        """Start the engine."""
        settings = self._settings
        return start_engine(
            source_of_weights(self._folder, None),
            gpus=settings.gpu,
            dtype=settings.dtype,
            max_model_len=settings.max_model_len,
            seed=settings.seed,
            **{"structured_outputs_config": _STRUCTURED} | settings.engine,
        )

    def _generate(self, prompts: list[Ids], sampling: Any) -> list[Any]:
        """Return the one completion of each prompt, in their order."""
        results = self._engine.generate([{"prompt_token_ids": ids} for ids in prompts], sampling, use_tqdm=False)
        self._prompt_tokens += sum(map(len, prompts))
        self._cached_tokens += sum(result.num_cached_tokens or 0 for result in results)
        return [result.outputs[0] for result in results]

    def _log_tokens(self, items: int) -> None:
        """Say how many prompt tokens were computed, and complain where the prefix cache does nothing."""
        computed = self._prompt_tokens - self._cached_tokens
        log(f"{self._prompt_tokens:,} prompt tokens so far, {computed:,} of them computed")
        if self._settings.mode == "item" and items > 1 and not self._cached_tokens:
            # Hybrid models have no prefix cache, and vLLM does not say so.
            log("warning: the prefix cache shared nothing: mode batch would be far cheaper with this model")


def _log_p(output: Any, yes: Ids, no: Ids) -> tuple[float, float] | None:
    """Return the log-probabilities of yes and of no, each summed over its spellings; None without a first token."""
    if output.finish_reason not in {"length", "stop"} or not output.logprobs:
        return None
    first = output.logprobs[0]
    return _log_sum(first, yes), _log_sum(first, no)


def _log_sum(log_probabilities: Any, tokens: Ids) -> float:
    """Return log of the sum of the tokens' probabilities."""
    values = [log_probabilities[token].logprob for token in tokens]
    highest = max(values)
    return float(highest + math.log(sum(math.exp(value - highest) for value in values)))
