"""From prompts to rows of generations.jsonl, chunk by chunk, through what is finished already."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from winnow.core.config.base import SCHEDULING
from winnow.core.config.runs import Generation
from winnow.core.ids import canonical_json, content_key
from winnow.core.locks import held
from winnow.core.log import Progress, log
from winnow.generation.finished import Finished
from winnow.generation.prompts import Prompt
from winnow.generation.sampling import Backend, Request, Sample, sample_seed

Row = dict[str, Any]


def requests_of(prompt: Prompt, settings: Generation) -> list[Request]:
    """Return what is asked for a prompt: the greedy response, then the drawn ones."""
    seeds = [sample_seed(settings.seed, prompt.prompt_id, sample) for sample in range(1, settings.samples + 1)]
    return [Request(prompt.ids, prompt.images, seed) for seed in (None, *seeds)]


def generations_key(
    prompts: Sequence[Prompt], settings: Generation, weights: Mapping[str, Any], identity: Mapping[str, Any]
) -> str:
    """Return the name of the folder of these responses: a hash of everything that shapes them.

    Args:
        prompts: all that are answered; images are named by their content.
        settings: of the study. Where and how long a job may run is left out.
        weights: hashes of the weights, or the commit on the hub.
        identity: of the engine.
    """
    own = "".join(file.read_text(encoding="utf-8") for file in sorted(Path(__file__).parent.glob("*.py")))
    shaping = {
        "prompts": [[prompt.prompt_id, prompt.ids, prompt.images] for prompt in prompts],
        "settings": settings.model_dump(mode="json", exclude=set(SCHEDULING)),
        "weights": dict(weights),
        "engine": dict(identity),
    }
    return content_key([canonical_json(shaping), own])[:32]


def generate(
    run: str, prompts: Sequence[Prompt], settings: Generation, backend: Backend, folder: Path
) -> Iterator[Row]:
    """Yield the row of every response, ordered by prompt and sample, once all of them are there.

    Args:
        run: or pseudo-run, the first part of each id.
        prompts: in the order of their rank.
        settings: of the study.
        backend: generates what `folder` does not hold yet.
        folder: cache/generations/<key>.
    """
    size = backend.chunk_prompts
    chunks = [prompts[start : start + size] for start in range(0, len(prompts), size)]
    with held(folder / "chunks.lock"):
        finished = Finished(folder / "chunks.jsonl")
        if finished.chunks:
            log(f"{len(finished.chunks):,} of {len(chunks):,} chunks of prompts were generated before")
        before = len(finished.chunks)
        progress = Progress("prompts answered", len(prompts), done=sum(map(len, chunks[:before])))
        for chunk in chunks[before:]:
            asked = [requests_of(prompt, settings) for prompt in chunk]
            made = iter(backend.generate([request for of_prompt in asked for request in of_prompt]))
            finished.add([[next(made) for _ in of_prompt] for of_prompt in asked])
            progress.step(len(chunk))
    for chunk, answers in zip(chunks, finished.chunks, strict=True):
        for prompt, samples in zip(chunk, answers, strict=True):
            yield from (_row(run, prompt.prompt_id, number, sample) for number, sample in enumerate(samples))


def _row(run: str, prompt_id: str, number: int, sample: Sample) -> Row:
    return {
        "id": f"{run}/{prompt_id}/{number}",
        "run": run,
        "prompt_id": prompt_id,
        "sample": number,
        "decoding": "sampled" if number else "greedy",
        "text": sample.text,
        "token_ids": list(sample.token_ids),
        "tokens": len(sample.token_ids),
        "stop_reason": sample.stop_reason,
    }
