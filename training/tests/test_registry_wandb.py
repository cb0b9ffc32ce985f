"""W&B's registry through W&B's own client, against a local server that speaks its GraphQL; the real one by a key."""

import json
import os
import uuid
from pathlib import Path

import pytest
import wandb

import tiny_bundle
import wandb_server
from flairstream_training import bundle, gate, registry, serving
from flairstream_training.data import Row
from flairstream_training.errors import InputError
from flairstream_training.notify import Notifier
from flairstream_training.tracking import NoTracker

GOOD = {"roses": "garden", "soup": "kitchen", "train": "travel"}
LABELS = sorted(GOOD.values())
ROWS = [Row(f"{number} {word}", (label,)) for number in range(20) for word, label in GOOD.items()]


@pytest.fixture
def server(monkeypatch, tmp_path):
    """What the local server knows."""
    with wandb_server.running() as (address, known):
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            monkeypatch.delenv(name)
        for name in ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
            monkeypatch.setenv(name, str(tmp_path / "wandb"))
        monkeypatch.setenv("WANDB_BASE_URL", address)
        monkeypatch.setenv("WANDB_API_KEY", wandb_server.KEY)
        yield known
        wandb.teardown()  # it remembers the server and the key for as long as its process lives


def submit(folder: Path, url: str = "wandb://acme/model/support", override: str = "") -> registry.Registered:
    return registry.submit(folder, ROWS, url, NoTracker(), Notifier(), override)


def fetched(url: str, folder: Path) -> Path:
    place = registry.parse(url)
    opened = registry.open_registry(place)
    folder.mkdir()
    return registry.fetch(opened, opened.find(place.reference), folder)


def round_trip(url: str, tmp_path: Path) -> registry.Registered:
    """Registers, promotes, refuses, passes; gives the second version."""
    first = tiny_bundle.write(tmp_path / "first", GOOD, LABELS)
    registered = submit(first, url)
    assert registered.gate == "first"
    assert "candidate" in registered.aliases
    assert registry.promote(f"{url}:candidate").run().endswith("is the champion now")
    with pytest.raises(gate.RefusedError, match=r"accuracy 100\.00% -> 66\.67%"):
        submit(tiny_bundle.write(tmp_path / "worse", {**GOOD, "train": "garden"}, LABELS, "1.1.0"), url)
    second = submit(tiny_bundle.write(tmp_path / "second", GOOD, LABELS, "1.2.0"), url)
    assert second.gate == "passed"
    said = registry.promote(f"{url}:candidate").run()
    assert said.endswith(f"to go back: flairstream-train promote --model {registered.reference}")
    served = serving.open(fetched(f"{url}:champion", tmp_path / "fetched"))
    assert served.manifest["version"] == "1.2.0"
    assert served.choose(served.scores(["the soup"])) == [("kitchen",)]
    return second


def test_a_version_comes_back_whole(server, tmp_path):
    second = round_trip("wandb://acme/model/support", tmp_path)
    assert server.unknown == []
    one, two = server.links["wandb-registry-model", "support"]
    assert (one.aliases, two.aliases) == (set(), {"candidate", "champion", "latest"})
    metadata = json.loads(two.artifact.metadata)
    assert metadata["digest"] == bundle.digest(tmp_path / "second")
    assert (metadata["previous_champion"], metadata["compared_with"], metadata["gate"]) == ("v0", "v0", "passed")
    assert two.artifact.description == "# tiny 1.2.0\n"
    assert (second.reference, second.version) == ("wandb://acme/model/support:v1", "v1")


def test_the_same_bundle_is_one_version(server, tmp_path):
    folder = tiny_bundle.write(tmp_path / "bundle", GOOD, LABELS)
    assert submit(folder).version == submit(folder).version == "v0"
    assert len(server.links["wandb-registry-model", "support"]) == 1


def test_nothing_of_this_machine_is_sent(server, tmp_path):
    submit(tiny_bundle.write(tmp_path / "bundle", GOOD, LABELS))
    assert not [path for path in server.files if "metadata" in path]
    assert str(tmp_path) not in json.dumps(list(server.runs.values()))


def test_a_refused_key_is_said_in_a_line(server, tmp_path, monkeypatch):
    folder = tiny_bundle.write(tmp_path / "bundle", GOOD, LABELS)
    monkeypatch.setenv("WANDB_API_KEY", "f" * 40)
    with pytest.raises(InputError, match="WANDB_API_KEY") as err:
        submit(folder)
    assert "f" * 40 not in str(err.value)
    assert server.artifacts == {}


def test_offline_is_no_place_to_register(server, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(InputError, match="registering in W&B needs its server"):
        submit(tiny_bundle.write(tmp_path / "bundle", GOOD, LABELS))
    assert server.runs == {}


@pytest.mark.usefixtures("server")
def test_what_is_not_there_is_said_in_a_line():
    with pytest.raises(InputError, match='there is no version or alias "candidate" of support'):
        registry.promote("wandb://acme/model/support:candidate")


@pytest.mark.skipif(
    not ("WANDB_API_KEY" in os.environ and "WANDB_TEST_REGISTRY" in os.environ),
    reason="the real W&B: set WANDB_API_KEY and WANDB_TEST_REGISTRY=ORGANISATION/REGISTRY",
)
def test_the_real_wandb(tmp_path):
    round_trip(f"wandb://{os.environ['WANDB_TEST_REGISTRY']}/flairstream-test-{uuid.uuid4().hex[:8]}", tmp_path)
