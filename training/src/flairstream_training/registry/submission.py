"""A bundle on its way into the registry: compared with the champion, then refused or registered as candidate."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import bundle as bundles
from .. import gate
from ..data import Row
from ..notify import Notice, Notifier
from ..tracking import Tracker
from .drivers import check
from .judgement import Judgement, judge
from .version import CANDIDATE, Registry, Version


@dataclass(frozen=True)
class Registered:
    """What was registered, and how it compares."""

    name: str
    version: str
    url: str  # the version's page
    reference: str  # e.g. mlflow://models/support-topics/3
    aliases: tuple[str, ...]
    gate: str  # "passed", "first" or "overridden"
    comparison: gate.Comparison | None  # None for the first


def submit(
    bundle: Path,
    rows: Sequence[Row],
    url: str,
    tracker: Tracker,
    notifier: Notifier,
    override: str = "",
    run: str = "",
    started_at: str = "",
) -> Registered:
    """Compares the bundle with the champion on the rows and registers it as candidate.

    Raises gate.RefusedError where it is significantly worse, and then makes no version; override is the reason to
    register it nevertheless. The same bundle is registered once. Either outcome is told to the tracker's run and in
    a notice, whose run is the one given, else the tracker's; started_at is that run's start.
    """
    registry = check(url)
    manifest = bundles.verify(bundle)
    judgement = judge(registry, bundle, rows, override)
    notice = _Notices(manifest, registry, judgement, tracker, run, started_at)
    _track(tracker, judgement)
    if judgement.word == "refused":
        tracker.tags({"gate": f"refused: {judgement.fault}"})
        notifier.send(notice.refused())
        raise gate.RefusedError(
            f"{manifest['name']} {manifest['version']} is not registered, it is significantly worse than "
            f"{judgement.champion}: {judgement.fault}; --override REASON registers it nevertheless",
            judgement.comparison,
        )
    tags = _tags(manifest, bundles.digest(bundle), judgement, override, tracker)
    version = _register(registry, bundle, tags, tracker)
    tracker.tags(
        {"model_version": registry.reference(version), "model_version_page": version.url, "gate": judgement.word}
    )
    registered = Registered(
        name=version.name,
        version=version.number,
        url=version.url,
        reference=registry.reference(version),
        aliases=version.aliases,
        gate=judgement.word,
        comparison=judgement.comparison,
    )
    notifier.send(notice.registered(registered, override))
    return registered


def _register(registry: Registry, bundle: Path, tags: dict[str, str], tracker: Tracker) -> Version:
    """Makes the version, or takes the one that an earlier try made, and points candidate at it."""
    version = registry.with_digest(tags["digest"])
    if version is None:
        tracker.flush()  # the run's own copy of the bundle is on its way: do not send it twice
        card = (bundle / "README.md").read_text(encoding="utf-8")
        version = registry.create(bundle, tracker.run_id, tags, card)
    if not tags.items() <= version.tags.items():  # it was there before, and compared with another champion
        registry.tag(version, tags)
    registry.alias(version, CANDIDATE)
    return registry.find(version.number) or version


def _tags(manifest: dict, digest: str, judgement: Judgement, override: str, tracker: Tracker) -> dict[str, str]:
    served = manifest["provenance"]["metrics"]["served"]
    tags = {
        "digest": digest,
        "bundle_name": manifest["name"],
        "bundle_version": manifest["version"],
        "accuracy": f"{served['accuracy']}",
        "macro_f1": f"{served['macro_f1']}",
        "gate": judgement.word,
        "comparison": judgement.summary,
        "compared_with": judgement.champion.number if judgement.champion else "",
        "override": override if judgement.word == "overridden" else "",
        "run_url": tracker.url,
    }
    return {key: value for key, value in tags.items() if value}


def _track(tracker: Tracker, judgement: Judgement) -> None:
    tracker.tags({"comparison": judgement.summary})
    if judgement.comparison:
        columns = ("label", "rows", "champion_errors", "candidate_errors", "champion_recall", "candidate_recall", "p")
        rows = [[getattr(c, column) for column in columns] for c in judgement.comparison.classes]
        tracker.table("comparison", columns, rows)


class _Notices:
    """What people are told of one submission."""

    def __init__(
        self, manifest: dict, registry: Registry, judgement: Judgement, tracker: Tracker, run: str, started_at: str
    ) -> None:
        self._manifest, self._registry, self._judgement = manifest, registry, judgement
        self._run, self._run_url, self._started_at = run or tracker.run_id, tracker.url, started_at

    def refused(self) -> Notice:
        text = "Significantly worse than the champion. No version was made."
        facts = tuple(("Worse", fault) for fault in self._judgement.comparison.faults[:10])
        return self._notice("version_refused", "warning", f"not registered in {self._registry.name}", text, facts, ())

    def registered(self, version: Registered, override: str) -> Notice:
        overridden = version.gate == "overridden"
        facts = [("Registered", f"{version.name} version {version.version}"), ("Gate", version.gate)]
        facts += [("Overridden because", override)] if overridden else []
        subject = f"registered as {version.name} version {version.version}"
        severity = "warning" if overridden else "good"
        return self._notice(
            "version_registered", severity, subject, "", tuple(facts), (("Model version", version.url),)
        )

    def _notice(self, kind: str, severity: str, what: str, text: str, facts: tuple, links: tuple) -> Notice:
        name, version = self._manifest["name"], self._manifest["version"]
        return Notice(
            kind=kind,
            subject=f"{name} {version}: {what}",
            severity=severity,
            text=text,
            facts=(*facts, ("Comparison", self._judgement.summary)),
            links=links,
            model=name,
            version=version,
            run=self._run,
            run_url=self._run_url,
            started_at=self._started_at,
        )
