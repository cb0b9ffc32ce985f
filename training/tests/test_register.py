"""The command register, without a registry."""

from types import SimpleNamespace

import pytest

import tiny_bundle
from flairstream_training import bundle, cli, registry
from flairstream_training.tracking import run


@pytest.fixture
def submitted(monkeypatch):
    """What the command hands to the registry."""
    got = SimpleNamespace()

    def submit(_bundle, rows, _url, tracker, *_, started_at):
        got.rows, got.run_id, got.page, got.started_at = len(rows), tracker.run_id, tracker.url, started_at
        return registry.Registered("tiny", "1", "http://server/1", "mlflow://models/tiny/1", (), "first", None)

    monkeypatch.setattr(registry, "submit", submit)
    return got


def test_a_version_is_linked_with_the_run_that_made_the_bundle(submitted, data_folder, tmp_path):
    out, work = tmp_path / "bundle", tmp_path / "bundle.work"
    tiny_bundle.write(out, {"roses": "garden"}, ["garden", "kitchen"])
    arguments = ["register", "--bundle", str(out), "--data", str(data_folder), "--to", "mlflow://models/tiny"]
    assert cli.main(arguments) == 0
    assert (submitted.run_id, submitted.page, submitted.started_at) == ("", "", "")
    assert submitted.rows > 0

    tracked = run.remembered(work / "tracking", "mlflow://experiments/tiny", "tiny 1.0.0")
    tracked.made(work / "tracking", "run7", "http://server/run7")
    (work / "started").write_text("2026-01-05T10:00:00Z")
    assert cli.main(arguments) == 0
    assert submitted.run_id == ""  # the folder is another bundle's
    manifest = bundle.verify(out)
    identity = bundle.Identity(manifest["name"], manifest["version"])
    (work / bundle.MADE).write_text(bundle.made_record(bundle.digest(out), identity))
    assert cli.main(arguments) == 0
    assert (submitted.run_id, submitted.page) == ("run7", "http://server/run7")
    assert submitted.started_at == "2026-01-05T10:00:00Z"
