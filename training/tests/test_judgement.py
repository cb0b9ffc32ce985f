"""What the gate says of bundles that are run; the registry is one champion in a folder."""

import shutil
from pathlib import Path

import pytest

import tiny_bundle
from flairstream_training import bundle
from flairstream_training.data import Row
from flairstream_training.errors import InputError
from flairstream_training.registry import Version
from flairstream_training.registry.judgement import Judgement, judge

WORDS = {"roses": "garden", "soup": "kitchen", "train": "travel"}
LABELS = sorted(WORDS.values())
ROWS = [Row(f"{number} {word}", (label,)) for number in range(20) for word, label in WORDS.items()]


class Champion:
    """A registry whose champion is the folder; none where there is no folder."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def find(self, reference: str) -> Version | None:
        return Version("topics", "1", "", "", (reference,)) if self._folder else None

    def download(self, _: Version, folder: Path) -> Path:
        return Path(shutil.copytree(self._folder, folder / "bundle"))


def say(old: Path | None, new: Path, rows=ROWS, override: str = "") -> Judgement:
    return judge(Champion(old), new, rows, override)


def unreadable(folder: Path) -> Path:
    """A bundle whose digests are right, and whose graph is none."""
    whole = tiny_bundle.write(folder.with_name("whole"), WORDS, LABELS)
    files = {path.name: path.read_bytes() for path in whole.iterdir() if path.name != bundle.MANIFEST}
    bundle.write(folder, files | {bundle.FP32: b"no graph"}, bundle.verify(whole))
    return folder


def test_a_candidate_that_lost_a_class_is_refused(tmp_path):
    old = tiny_bundle.write(tmp_path / "old", WORDS, LABELS)
    new = tiny_bundle.write(tmp_path / "new", {"roses": "garden", "soup": "kitchen"}, ["garden", "kitchen"])
    judgement = say(old, new)
    assert judgement.word == "refused"
    assert (judgement.comparison.rows, judgement.comparison.left_out, judgement.comparison.lost) == (60, 0, 20)
    assert 'class "travel" wrong on 0 -> 20 rows, recall 100.00% -> 0.00%' in judgement.fault


def test_a_new_class_is_left_out_and_counts_where_it_is_wrongly_given(tmp_path):
    old = tiny_bundle.write(tmp_path / "old", {"roses": "garden", "soup": "kitchen"}, ["garden", "kitchen"])
    new = tiny_bundle.write(tmp_path / "new", WORDS, LABELS)
    judgement = say(old, new)
    assert (judgement.word, judgement.comparison.rows, judgement.comparison.left_out) == ("passed", 40, 20)
    greedy = tiny_bundle.write(tmp_path / "greedy", WORDS | {"soup": "travel"}, LABELS)
    assert say(old, greedy).word == "refused"


def test_a_candidate_that_cannot_be_opened_is_refused_whatever_the_reason(tmp_path):
    whole, broken = tiny_bundle.write(tmp_path / "old", WORDS, LABELS), unreadable(tmp_path / "new")
    for old in (None, whole):
        with pytest.raises(InputError, match="new cannot be opened") as caught:
            say(old, broken, override="I know better")
        assert "\n" not in str(caught.value)


def test_a_champion_that_cannot_be_opened_can_be_overridden(tmp_path):
    broken, new = unreadable(tmp_path / "old"), tiny_bundle.write(tmp_path / "new", WORDS, LABELS)
    with pytest.raises(InputError, match=r"cannot compare with topics version 1: .* cannot be opened"):
        say(broken, new)
    judgement = say(broken, new, override="the old one is broken")
    assert (judgement.word, judgement.comparison) == ("overridden", None)
