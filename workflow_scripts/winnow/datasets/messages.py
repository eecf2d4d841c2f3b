"""Messages in the two forms that trainers read: plain text, or a list of typed parts where images are shown."""

from collections.abc import Sequence
from typing import Any

Message = dict[str, Any]
Content = str | Sequence[dict[str, Any]] | None


def content_of(text: str, images: int | None) -> str | list[dict[str, Any]]:
    """Return what a message holds.

    Args:
        text: what is said.
        images: how many images stand before it; None where the table's messages are plain text.
    """
    if images is None:
        return text
    return [{"type": "image", "text": None}] * images + [{"type": "text", "text": text}]


def said(content: Content) -> str:
    """Return the text of a message in either form."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part["text"] or "" for part in content if part["type"] == "text")


def places(content: Content) -> int:
    """Return how many images a message has places for."""
    return 0 if content is None or isinstance(content, str) else sum(part["type"] == "image" for part in content)


def prompt_messages(system: str, user: str, images: int | None) -> list[Message]:
    """Return a prompt: the system's turn, then the user's with its images in front."""
    return [
        {"role": "system", "content": content_of(system, None if images is None else 0)},
        {"role": "user", "content": content_of(user, images)},
    ]


def answer_message(text: str, *, typed: bool) -> list[Message]:
    """Return a response as the assistant's one turn."""
    return [{"role": "assistant", "content": content_of(text, 0 if typed else None)}]


def only_answer(messages: Sequence[Message] | None) -> str:
    """Return what the assistant says; "" where that is not exactly one message of the assistant."""
    if not messages or len(messages) != 1 or messages[0]["role"] != "assistant":
        return ""
    return said(messages[0]["content"])
