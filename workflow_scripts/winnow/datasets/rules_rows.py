"""Rules on single rendered rows, held against the source rows: what is said, and what is said of it."""

import re
from collections.abc import Callable

from winnow.core.errors import WinnowError
from winnow.core.ids import sha256_text
from winnow.core.tables import Row
from winnow.datasets.checks import Check
from winnow.datasets.drafts import harmless
from winnow.datasets.evidence import Evidence
from winnow.datasets.rendered import RenderedRow
from winnow.datasets.rules_images import ImageRules
from winnow.datasets.template import cut_field, response_text, system_text, user_text
from winnow.datasets.text import control_pattern, normalised

DECISIONS = {"accept", "reject", "workshop", "withdrawn", None}

PLACEHOLDER = re.compile(
    r"\W*(?:n/?a|none|null|nan|tbd|todo|placeholder|lorem ipsum.*|(?:paper|full|insert)[ _]?text(?: here)?)\W*",
    re.DOTALL,
)
LEAK = re.compile(
    r"\b(?:published|accepted|under review|submitted) as an? (?:conference|workshop) paper\b"
    r"|\bpaper under double-blind review\b",
    re.IGNORECASE,
)


class RowRules:
    """Rules that look at one rendered row and its sources at a time, so that the rows are read once."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.pattern = control_pattern(evidence.renderer.chat.added_tokens)
        self.prompt_of_text: dict[str, str] = {}
        self.rules: dict[str, tuple[str, Callable[[RenderedRow, Check], None]]] = {
            "C1": ("the two responses differ, and a response differs from its prompt", self.responses_differ),
            "C4": ("prompts are long enough, no placeholder, and give no decision away", self.prompt_is_real),
            "C6": ("images are their prompt's, whole and in their places", ImageRules(evidence).images_match),
            "C7": ("ratings are on their scale, decisions and labels are known", self.rating_on_scale),
            "W5": ("rendered text is the source's text", self.text_from_source),
            "W6": ("metadata are the source's", self.metadata_from_source),
        }

    def responses_differ(self, rendered: RenderedRow, check: Check) -> None:
        """C1: chosen and rejected are two responses with two texts."""
        texts = [normalised(text) for text in rendered.texts]
        if len(texts) == 2:
            check.expect(texts[0] != texts[1], rendered.id, "chosen and rejected have the same text")
            row = rendered.row
            check.expect(row["chosen_id"] != row["rejected_id"], rendered.id, "chosen and rejected are one response")
            return
        check.expect(texts[0] != normalised(rendered.user), rendered.id, "the response repeats its prompt")

    def prompt_is_real(self, rendered: RenderedRow, check: Check) -> None:
        """C4: what is shown of a paper is long enough, its own, and without a trace of the decision."""
        if rendered.prompt is None:
            check.expect(False, rendered.id, f"prompt {rendered.row['prompt_id']} is not in the corpus")
            return
        spec = self.evidence.spec
        fields = self.evidence.renderer.fields(rendered.prompt)
        chars = sum(len(rendered.prompt[name] or "") for name in spec.prompt_fields)
        check.expect(
            chars >= spec.min_prompt_chars, rendered.id, f"its prompt has {chars} of {spec.min_prompt_chars} characters"
        )
        for name, text in fields.items():
            check.expect(
                PLACEHOLDER.fullmatch(text.casefold()) is None, rendered.id, f"{name} is a placeholder: {text[:60]}"
            )
        leak = LEAK.search(rendered.user)
        check.expect(leak is None, rendered.id, f"its prompt says: {leak[0] if leak else ''}")
        shown = "\0".join([normalised(rendered.user), *(rendered.row.get("images") or ())])
        owner = self.prompt_of_text.setdefault(sha256_text(shown), rendered.prompt["prompt_id"])
        if owner != rendered.prompt["prompt_id"]:
            groups = [
                {row.group_id for row in self.evidence.split_rows.get(name, [])}
                for name in (owner, rendered.prompt["prompt_id"])
            ]
            check.expect(groups[0] == groups[1], rendered.id, f"shows the same text as prompt {owner} of another group")

    def rating_on_scale(self, rendered: RenderedRow, check: Check) -> None:
        """C7: each rating is one of its scale's, and each decision, and label where labels score, a known one."""
        for response in rendered.responses:
            if response is None:
                check.expect(False, rendered.id, "a response is not in the corpus")
            elif response["rating"] is not None:
                scale = response["rating_scale"] or []
                check.expect(response["rating"] in scale, rendered.id, f"rating {response['rating']} is not of {scale}")
        decision = rendered.prompt["decision"] if rendered.prompt else None
        check.expect(decision in DECISIONS, rendered.id, f"decision {decision!r} is not a known one")
        if (answers := self.evidence.spec.answers) is not None:
            label = self.evidence.labels.get(rendered.row["prompt_id"])
            check.expect(label in answers, rendered.id, f"label {label!r} is none of {', '.join(answers)}")

    def text_from_source(self, rendered: RenderedRow, check: Check) -> None:
        """W5: messages are what the template makes of the source rows; a cut field is the beginning of the whole."""
        if rendered.prompt is None or None in rendered.responses:
            check.expect(False, rendered.id, "has no source row")
            return
        template = self.evidence.renderer.template
        prompt, _ = harmless(rendered.prompt, ("title", "abstract", "body"), self.pattern)
        columns = ("text", "rating_label", "confidence_label")
        responses = [harmless(row, columns, self.pattern)[0] for row in rendered.responses if row is not None]
        for side, text, response in zip(rendered.sides, rendered.texts, responses, strict=True):
            check.expect(text == response_text(template, response), rendered.id, f"{side} is not the source's text")
        fields = self.evidence.renderer.fields(prompt)
        user = user_text(template, fields)
        try:
            system = system_text(template, responses)
        except WinnowError as error:
            check.fail(rendered.id, str(error))
            return
        if rendered.row["prompt_tokens_cut"]:
            # The fields after the cut one follow its beginning; so the user's turn is a head and a tail of the whole.
            field = cut_field(fields)
            head, tail = user_text(template, {**fields, field: "\0"}).split("\0")
            kept = rendered.user.removeprefix(head).removesuffix(tail)
            whole = head + kept + tail == rendered.user
            check.expect(whole and 0 < len(kept) < len(fields[field]), rendered.id, f"{field} is not cut at its end")
            check.expect(fields[field].startswith(kept), rendered.id, f"{field} is not the beginning of the source's")
            user = rendered.user
        images = self.evidence.renderer.images_of(prompt["prompt_id"])
        wanted = self.evidence.renderer.around(system, user, images)
        same = rendered.row["prompt"] == wanted
        check.expect(same, rendered.id, "its prompt is not what the template makes of the source")

    def metadata_from_source(self, rendered: RenderedRow, check: Check) -> None:
        """W6: ids, ratings, checkmarks, decision and year beside a row are those of the sources."""
        row, prompt = rendered.row, rendered.prompt or {}
        for column in ("decision", "year"):
            wanted = prompt.get(column)
            check.expect(row[column] == wanted, rendered.id, f"{column} is {row[column]}, the source's {wanted}")
        check.expect(row["corpus"] == self.evidence.spec.corpus, rendered.id, f"corpus is {row['corpus']}")
        prefixes = ("",) if len(rendered.responses) == 1 else ("chosen_", "rejected_")
        for prefix, response in zip(prefixes, rendered.responses, strict=True):
            if response is not None:
                self._response_metadata(rendered.id, row, prefix, response, check)

    def _response_metadata(self, name: str, row: Row, prefix: str, response: Row, check: Check) -> None:
        score = self.evidence.scored.get(response["response_id"])
        wanted = {"rating": response["rating"], "checkmark_count": None if score is None else score.checkmark_count}
        for column, value in wanted.items():
            found = row[f"{prefix}{column}"]
            check.expect(found == value, name, f"{prefix}{column} is {found}, the source's {value}")
        same = response["prompt_id"] == row["prompt_id"]
        check.expect(same, name, f"{response['response_id']} answers {response['prompt_id']}, not {row['prompt_id']}")
