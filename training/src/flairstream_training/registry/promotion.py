"""The explicit step that makes a version the champion."""

from dataclasses import dataclass

from ..errors import InputError
from . import place
from .drivers import open_registry
from .version import CHAMPION, Registry, Version

PREVIOUS = "previous_champion"


@dataclass(frozen=True)
class Promotion:
    """What is to become the champion, and what is the champion now."""

    registry: Registry
    version: Version
    champion: Version | None

    def text(self) -> str:
        """What a person wants to know before it is done."""
        tags = self.version.tags
        lines = [
            f"{self.version} ({tags.get('bundle_name', '?')} {tags.get('bundle_version', '?')}): {self.version.url}"
        ]
        lines.append(f"champion now: {f'version {self.champion.number}' if self.champion else 'none'}")
        lines.append(f"gate: {tags.get('gate', 'not known')}" + (f", {tags['override']}" if "override" in tags else ""))
        if "comparison" in tags:
            lines.append(f"comparison: {tags['comparison']}")
        compared = tags.get("compared_with")
        if self.champion and compared != self.champion.number and self.champion.number != self.version.number:
            with_whom = f"with version {compared}" if compared else "with no champion"
            lines.append(f"note: it was compared {with_whom}, and the champion is version {self.champion.number} now")
        return "\n".join(lines)

    @property
    def done(self) -> bool:
        """Whether it is the champion already."""
        return self.champion is not None and self.champion.number == self.version.number

    def run(self) -> str:
        """Makes it the champion, and remembers the former one; says how to go back.

        InputError where the champion is another by now than the one that was shown.
        """
        if self.done:
            return f"{self.version} is the champion already"
        now = self.registry.find(CHAMPION)
        if (now and now.number) != (self.champion and self.champion.number):
            raise InputError(f"the champion has changed meanwhile: it is {now or 'none'} now: look again, then promote")
        if self.champion:
            self.registry.tag(self.version, {PREVIOUS: self.champion.number})
        self.registry.alias(self.version, CHAMPION)
        said = f"{self.version} is the champion now"
        if not self.champion:
            return said
        return f"{said}; to go back: flairstream-train promote --model {self.registry.reference(self.champion)}"


def promote(url: str) -> Promotion:
    """Finds the version that the URL names, e.g. mlflow://models/support-topics@candidate; changes nothing yet."""
    where = place.parse(url)
    if not where.reference:
        raise InputError(f"{url}: say which version: @candidate or /VERSION (W&B: :candidate or :vN) at its end")
    registry = open_registry(where)
    version = registry.find(where.reference)
    if version is None:
        raise InputError(f'{url}: there is no version or alias "{where.reference}" of {where.name}')
    return Promotion(registry, version, registry.find(CHAMPION))
