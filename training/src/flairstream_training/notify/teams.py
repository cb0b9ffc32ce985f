"""Microsoft Teams, by a Workflows webhook and an Adaptive Card."""

import re
import threading
import time
from collections import deque

from .notice import Notice, cut
from .patience import NotTakenError
from .post import Webhook, encode

# Teams takes messages of about 28 KB (https://learn.microsoft.com/connectors/teams); the flow adds its own.
CARD_BYTES = 20_000
# Posts of the flow's bot and a connection (same page).
POSTS, POSTS_SECONDS = 25, 300.0
_ACTIONS = 6  # a card's most in Teams
_COLORS = {"info": "Accent", "good": "Good", "warning": "Warning", "critical": "Attention"}
_MARKDOWN = re.compile(r"([\\`*_\[\]~<>])|^(\s*)(#|[-+](?=[\s-])|\d+(?=[.)]\s))", re.MULTILINE)


class Teams:
    """A chat or channel, by "When a Teams webhook request is received"."""

    def __init__(self, name: str, webhook: Webhook, posts: int = POSTS, seconds: float = POSTS_SECONDS) -> None:
        self.name = name
        self._webhook = webhook
        self._sent: deque[float] = deque(maxlen=posts)
        self._seconds = seconds
        self._lock = threading.Lock()

    def send(self, notice: Notice) -> None:
        """Raises NotTakenError where Teams did not accept the card. Accepted (202) is not yet shown."""
        self._keep_limit()
        self._webhook.post(message(notice))

    def _keep_limit(self) -> None:
        with self._lock:
            now = time.monotonic()
            if len(self._sent) == self._sent.maxlen and now - self._sent[0] < self._seconds:
                raise NotTakenError(f"{len(self._sent)} notices in {self._seconds:.0f} s are all that Teams takes")
            self._sent.append(now)


def message(notice: Notice) -> dict:
    """The message with its card, in at most CARD_BYTES of JSON; what is left out is said in it."""
    rows = [{"title": escape(cut(name, 100)), "value": escape(cut(value, 500))} for name, value in notice.rows]
    shown, text = len(rows), cut(notice.text, 4000)
    body = _message(notice, rows, shown, text)
    while len(encode(body)) > CARD_BYTES:
        if shown:
            shown -= 1
        else:
            text = cut(notice.text, len(text) // 2)
        body = _message(notice, rows, shown, text)
    return body


def _message(notice: Notice, rows: list[dict], shown: int, text: str) -> dict:
    more = f"{len(rows) - shown} more left out: a card takes {CARD_BYTES // 1000} KB"
    facts = rows if shown == len(rows) else [*rows[:shown], {"title": "…", "value": more}]
    heading = {"weight": "Bolder", "size": "Medium", "style": "heading", "color": _COLORS[notice.severity]}
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": [
            {"type": "TextBlock", "text": escape(notice.title), "wrap": True, **heading},
            {"type": "FactSet", "facts": facts},
            *([{"type": "TextBlock", "text": escape(text), "wrap": True}] if text else []),
        ],
        "actions": [
            {"type": "Action.OpenUrl", "title": cut(title, 60), "url": url}
            for title, url in notice.pages[:_ACTIONS]
            if len(url) <= 1000
        ],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "summary": notice.title, "attachments": [attachment]}


def escape(text: str) -> str:
    """The text such that a card's Markdown shows it as it is."""
    return _MARKDOWN.sub(lambda m: f"\\{m[1]}" if m[1] else _start_of_line(m), text)


def _start_of_line(match: re.Match) -> str:
    indent, mark = match[2], match[3]
    return f"{indent}{mark}\\" if mark.isdigit() else f"{indent}\\{mark}"
