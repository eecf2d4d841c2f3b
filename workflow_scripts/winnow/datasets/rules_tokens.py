"""Rules on tokens, through the chat template and exactly as TRL cuts rows into prompt and labels."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from winnow.datasets.checks import Check
from winnow.datasets.evidence import Evidence
from winnow.datasets.fitting import Renderer
from winnow.datasets.messages import Message, content_of
from winnow.datasets.render import ChatTokens
from winnow.datasets.rendered import RenderedRow


@dataclass(frozen=True)
class SideTokens:
    """The tokens of one row and one side of it.

    Attributes:
        side: completion, chosen or rejected.
        prompt: ids of the prompt with the assistant's header.
        whole: ids of prompt and response.
        text: number of tokens of the bare response text.
        marks: how often each of the tokenizer's added tokens would occur if all texts were harmless.
    """

    rendered: RenderedRow
    side: str
    prompt: list[int]
    whole: list[int]
    text: int
    marks: Counter[int]

    @property
    def trained(self) -> int:
        """Tokens that get a label: all behind the common beginning of prompt and whole."""
        if self.whole[: len(self.prompt)] == self.prompt:
            return len(self.whole) - len(self.prompt)
        common = 0
        for one, other in zip(self.prompt, self.whole, strict=False):
            if one != other:
                break
            common += 1
        return len(self.whole) - common


def token_rows(renderer: Renderer, rows: Sequence[RenderedRow]) -> Iterator[SideTokens]:
    """Yield the tokens of each side of some rows, images expanded as the processor does it.

    How many tokens the images have comes from the images table, not from what the row says.
    """
    chat, images = renderer.chat, [renderer.images_of(row.row["prompt_id"]) for row in rows]
    counts = [renderer.image_tokens(shown) for shown in images]
    prompts = chat.ids([row.row["prompt"] for row in rows], prompt=True)
    sides = [(index, side) for index, row in enumerate(rows) for side in row.sides]
    conversations = [[*rows[index].row["prompt"], *(rows[index].row[side] or [])] for index, side in sides]
    wholes = chat.ids(conversations, prompt=False)
    texts = chat.plain_lengths([text for row in rows for text in row.texts])
    added = set(chat.tokenizer.get_added_vocab().values())
    frames: dict[tuple[tuple[str, ...], int | None], list[int]] = {}
    for (index, side), conversation, whole, text in zip(sides, conversations, wholes, texts, strict=True):
        roles = tuple(message["role"] for message in conversation)
        frame = roles, None if renderer.budget.images is None else len(images[index])
        if frame not in frames:
            frames[frame] = _marks(chat, *frame, added)
        given = (prompts[index], whole, frames[frame])
        prompt, seen, marks = (chat.expanded(ids, counts[index]) if counts[index] else ids for ids in given)
        yield SideTokens(rows[index], side, prompt, seen, text, Counter(marks))


def _marks(chat: ChatTokens, roles: tuple[str, ...], images: int | None, added: set[int]) -> list[int]:
    """Return the added tokens of a conversation of these roles that says nothing of its own.

    Args:
        chat: the tokenizer.
        roles: of the messages.
        images: places for images in the user's turn; None where messages are plain text.
        added: the tokenizer's added tokens.
    """
    frame: list[Message] = [
        {"role": role, "content": content_of("x", images if role == "user" or images is None else 0)} for role in roles
    ]
    return [token for token in chat.ids([frame], prompt=False)[0] if token in added]


class TokenRules:
    """Rules that look at the tokens of one row at a time, so that every row is tokenised once."""

    def __init__(self, evidence: Evidence) -> None:
        self.chat = evidence.renderer.chat
        self.budget = evidence.spec
        self.added = set(self.chat.tokenizer.get_added_vocab().values())
        self.rules: dict[str, tuple[str, Callable[[SideTokens, Check], None]]] = {
            "C5": ("the assistant's header is there and every response token is trained", self.response_is_trained),
            "W7": ("rows fit the budget, and say how many tokens they have", self.budget_kept),
            "W8": ("no control token comes from data", self.no_control_tokens),
        }

    def response_is_trained(self, tokens: SideTokens, check: Check) -> None:
        """C5: the prompt ends in the header, the whole continues it, and labels are the text's tokens and the end."""
        name, header, end = tokens.rendered.id, self.chat.header, self.chat.end
        check.expect(tokens.prompt[-len(header) :] == header, name, "its prompt does not end in the assistant's header")
        same = tokens.whole[: len(tokens.prompt)] == tokens.prompt
        check.expect(same, name, f"{tokens.side}: prompt and response together do not begin with the prompt's tokens")
        check.expect(tokens.whole[-len(end) :] == end, name, f"{tokens.side} does not close the assistant's turn")
        check.expect(tokens.text > 0, name, f"{tokens.side} has no text, or is not one message of the assistant")
        labels = f"{tokens.side} trains {tokens.trained} tokens, its text has {tokens.text} and the end {len(end)}"
        check.expect(tokens.trained == tokens.text + len(end), name, labels)

    def budget_kept(self, tokens: SideTokens, check: Check) -> None:
        """W7: prompt and response fit the context, with the response's share kept free, and counts are true."""
        row, name, budget = tokens.rendered.row, tokens.rendered.id, self.budget
        trained = len(tokens.whole) - len(tokens.prompt)
        check.expect(len(tokens.whole) <= budget.context, name, f"{len(tokens.whole)} tokens, context {budget.context}")
        check.expect(
            trained <= budget.response_tokens, name, f"{tokens.side}: {trained} of {budget.response_tokens} tokens"
        )
        check.expect(
            len(tokens.prompt) <= budget.prompt_tokens, name, f"prompt: {len(tokens.prompt)} of {budget.prompt_tokens}"
        )
        for column, true in (("prompt_tokens", len(tokens.prompt)), (f"{tokens.side}_tokens", trained)):
            check.expect(row[column] == true, name, f"{column} is {row[column]}, recounted {true}")
        longest = check.measured.get("longest_row_tokens", 0)
        check.measured["longest_row_tokens"] = max(longest, len(tokens.whole))

    def no_control_tokens(self, tokens: SideTokens, check: Check) -> None:
        """W8: the tokenizer's added tokens occur exactly where the chat template puts them."""
        found = Counter(token for token in tokens.whole if token in self.added)
        extra = found - tokens.marks
        words = ", ".join(sorted(self.chat.tokenizer.convert_ids_to_tokens(list(extra))))
        check.expect(found == tokens.marks, tokens.rendered.id, f"{tokens.side} or its prompt brings its own {words}")
