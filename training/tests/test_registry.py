"""The registry against a real MLflow server, looked at by plain REST as well."""

import dataclasses
import uuid
from pathlib import Path

import pytest
import requests

import tiny_bundle
from flairstream_training import bundle, cli, gate, registry, serving, tracking
from flairstream_training.data import Row
from flairstream_training.errors import InputError
from flairstream_training.notify import Notice, Notifier
from flairstream_training.tracking import NoTracker

GOOD = {"roses": "garden", "hedge": "garden", "soup": "kitchen", "knife": "kitchen", "train": "travel"}
LABELS = sorted(set(GOOD.values()))
ROWS = [Row(f"{number} {word}", (label,)) for number in range(20) for word, label in GOOD.items()]


class Kept(Notifier):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def send(self, notice: Notice) -> None:
        self.notices.append(notice)


@pytest.fixture
def name(mlflow_server, monkeypatch) -> str:
    """A model that no other test knows, on the server."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    return f"tiny-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def get(mlflow_server):
    def request(route: str, **params) -> requests.Response:
        return requests.get(f"{mlflow_server}/api/2.0/{route}", params=params, timeout=30)

    return request


def submit(folder: Path, name: str, rows=ROWS, override: str = "", notifier=None) -> registry.Registered:
    return registry.submit(folder, rows, f"mlflow://models/{name}", NoTracker(), notifier or Kept(), override)


def promote(name: str, reference: str = "@candidate") -> str:
    return registry.promote(f"mlflow://models/{name}{reference}").run()


def without(*words: str, **labels: str) -> dict[str, str]:
    """GOOD less some words, some with another label."""
    return {word: label for word, label in GOOD.items() if word not in words} | labels


def test_a_version_comes_back_whole_by_plain_rest(name, get, mlflow_server, tmp_path):
    folder = tiny_bundle.write(tmp_path / "bundle", GOOD, LABELS)
    registered = submit(folder, name)
    assert (registered.version, registered.aliases, registered.gate) == ("1", ("candidate",), "first")
    assert registered.url == f"{mlflow_server}/#/models/{name}/versions/1"

    version = get("mlflow/registered-models/alias", name=name, alias="candidate").json()["model_version"]
    tags = {tag["key"]: tag["value"] for tag in version["tags"]}
    assert (version["version"], version["status"], version["description"]) == ("1", "READY", "# tiny 1.0.0\n")
    assert tags["digest"] == bundle.digest(folder)
    assert (tags["bundle_name"], tags["bundle_version"], tags["accuracy"]) == ("tiny", "1.0.0", "0.9")
    assert tags["gate"] == "first"

    assert version["source"].startswith("mlflow-artifacts:/")
    path = version["source"].removeprefix("mlflow-artifacts:/")
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in get("mlflow-artifacts/artifacts", path=path).json()["files"]:
        (copy / file["path"]).write_bytes(get(f"mlflow-artifacts/artifacts/{path}/{file['path']}").content)
    served = serving.open(copy)
    assert served.choose(served.scores(["the soup"])) == [("kitchen",)]

    run = get("mlflow/runs/get", run_id=version["run_id"]).json()["run"]
    assert run["info"]["status"] == "FINISHED"


def test_a_worse_version_is_refused_and_leaves_none(name, get, tmp_path):
    submit(tiny_bundle.write(tmp_path / "good", GOOD, LABELS), name)
    promote(name)
    worse = tiny_bundle.write(tmp_path / "worse", without("soup", train="kitchen"), LABELS, "1.1.0")
    notifier = Kept()
    with pytest.raises(gate.RefusedError) as refused:
        submit(worse, name, notifier=notifier)
    message = str(refused.value)
    assert f"tiny 1.1.0 is not registered, it is significantly worse than {name} version 1" in message
    assert "accuracy 100.00% -> 60.00% (-40.00 points), 40 rows lost and 0 won" in message
    assert 'class "travel" wrong on 0 -> 20 rows, recall 100.00% -> 0.00%' in message
    assert get("mlflow/model-versions/search", filter=f"name='{name}'").json()["model_versions"][0]["version"] == "1"
    (notice,) = notifier.notices
    assert (notice.kind, notice.severity) == ("version_refused", "warning")
    assert any("travel" in value for fact, value in notice.facts if fact == "Worse")


def test_an_override_registers_with_the_reason(name, get, tmp_path):
    submit(tiny_bundle.write(tmp_path / "good", GOOD, LABELS), name)
    promote(name)
    worse = tiny_bundle.write(tmp_path / "worse", without("soup", "train"), LABELS, "1.1.0")
    notifier = Kept()
    registered = submit(worse, name, override="the old one knows too much", notifier=notifier)
    assert (registered.version, registered.gate) == ("2", "overridden")
    version = get("mlflow/model-versions/get", name=name, version="2").json()["model_version"]
    tags = {tag["key"]: tag["value"] for tag in version["tags"]}
    assert (tags["override"], tags["compared_with"]) == ("the old one knows too much", "1")
    assert "accuracy 100.00% -> 60.00%" in tags["comparison"]
    assert (notifier.notices[0].kind, notifier.notices[0].severity) == ("version_registered", "warning")


def test_an_equal_version_passes_and_can_be_promoted_and_rolled_back(name, get, tmp_path):
    submit(tiny_bundle.write(tmp_path / "one", GOOD, LABELS), name)
    assert promote(name) == f"{name} version 1 is the champion now"
    notifier = Kept()
    second = submit(tiny_bundle.write(tmp_path / "two", GOOD, LABELS, "1.0.1"), name, notifier=notifier)
    assert (second.version, second.gate, second.comparison.p) == ("2", "passed", 1)
    assert (notifier.notices[0].kind, notifier.notices[0].severity) == ("version_registered", "good")

    promotion = registry.promote(f"mlflow://models/{name}@candidate")
    assert "champion now: version 1" in promotion.text()
    assert f"comparison: against {name} version 1: 100 rows: accuracy 100.00% -> 100.00%" in promotion.text()
    assert "note:" not in promotion.text()
    back = f"mlflow://models/{name}/1"
    assert (
        promotion.run() == f"{name} version 2 is the champion now; to go back: flairstream-train promote --model {back}"
    )
    champion = get("mlflow/registered-models/alias", name=name, alias="champion").json()["model_version"]
    assert champion["version"] == "2"
    assert {"key": "previous_champion", "value": "1"} in champion["tags"]
    assert "is the champion already" in promote(name)

    assert "note: it was compared with no champion, and the champion is version 2 now" in registry.promote(back).text()
    assert promote(name, "/1").startswith(f"{name} version 1 is the champion now")
    assert get("mlflow/registered-models/alias", name=name, alias="champion").json()["model_version"]["version"] == "1"


def test_the_same_bundle_is_one_version(name, get, tmp_path):
    folder = tiny_bundle.write(tmp_path / "bundle", GOOD, LABELS)
    assert submit(folder, name).version == submit(folder, name).version == "1"
    assert len(get("mlflow/model-versions/search", filter=f"name='{name}'").json()["model_versions"]) == 1


def test_a_version_belongs_to_the_run_that_made_it(name, get, mlflow_server, tmp_path):
    post = f"{mlflow_server}/api/2.0/mlflow/runs/create"
    run = requests.post(post, json={"experiment_id": "0"}, timeout=30).json()["run"]["info"]["run_id"]
    tracker = NoTracker()
    tracker.run_id = run
    one = tiny_bundle.write(tmp_path / "one", GOOD, LABELS)
    two = tiny_bundle.write(tmp_path / "two", GOOD, LABELS, "1.0.1")
    for folder in (one, two):
        registry.submit(folder, ROWS, f"mlflow://models/{name}", tracker, Kept())
    first, second = (
        get("mlflow/model-versions/get", name=name, version=number).json()["model_version"] for number in "12"
    )
    assert first["run_id"] == second["run_id"] == run
    assert first["source"].endswith(f"/{run}/artifacts/bundle")
    assert second["source"].endswith(f"/{run}/artifacts/bundle-{bundle.digest(two)[:12]}")
    place = registry.open_registry(registry.parse(f"mlflow://models/{name}"))
    for number, folder in (("1", one), ("2", two)):
        target = tmp_path / f"fetched-{number}"
        target.mkdir()
        got = registry.fetch(place, place.find(number), target)
        assert bundle.digest(got) == bundle.digest(folder)


@pytest.mark.parametrize("manifest_too", [False, True])
def test_an_upload_that_was_cut_off_is_gone_on_with(name, mlflow_server, tmp_path, manifest_too):
    post = f"{mlflow_server}/api/2.0/mlflow/runs/create"
    tracker = NoTracker()
    run = requests.post(post, json={"experiment_id": "0"}, timeout=30).json()["run"]["info"]
    tracker.run_id = run["run_id"]
    folder = tiny_bundle.write(tmp_path / "bundle", GOOD, LABELS)
    files = f"{mlflow_server}/api/2.0/mlflow-artifacts/artifacts/0/{run['run_id']}/artifacts/bundle"
    requests.put(f"{files}/{bundle.FP32}", data=b"half", timeout=30).raise_for_status()
    if manifest_too:
        requests.put(f"{files}/bundle.json", data=(folder / "bundle.json").read_bytes(), timeout=30).raise_for_status()
    registry.submit(folder, ROWS, f"mlflow://models/{name}", tracker, Kept())
    place = registry.open_registry(registry.parse(f"mlflow://models/{name}"))
    version = place.find("candidate")
    assert version.source.endswith("/artifacts/bundle")
    (tmp_path / "fetched").mkdir()
    assert bundle.digest(registry.fetch(place, version, tmp_path / "fetched")) == bundle.digest(folder)


def test_a_champion_that_changed_meanwhile_is_not_replaced(name, tmp_path):
    submit(tiny_bundle.write(tmp_path / "one", GOOD, LABELS), name)
    promotion = registry.promote(f"mlflow://models/{name}@candidate")
    submit(tiny_bundle.write(tmp_path / "two", GOOD, LABELS, "1.0.1"), name)
    promote(name)
    with pytest.raises(InputError, match=f"the champion has changed meanwhile: it is {name} version 2 now"):
        promotion.run()


def test_run_and_version_name_each_other(name, get, tmp_path):
    folder = tiny_bundle.write(tmp_path / "bundle", GOOD, LABELS)
    tracker = tracking.open(f"mlflow://experiments/{name}", "tiny 1.0.0", tmp_path / "work")
    tracker.folder("bundle", folder)
    registry.submit(folder, ROWS, f"mlflow://models/{name}", tracker, Kept())
    promote(name)
    second = tiny_bundle.write(tmp_path / "second", GOOD, LABELS, "1.0.1")
    registry.submit(second, ROWS, f"mlflow://models/{name}", tracker, Kept())
    tracker.finish()
    versions = [get("mlflow/model-versions/get", name=name, version=n).json()["model_version"] for n in "12"]
    assert [version["run_id"] for version in versions] == [tracker.run_id, tracker.run_id]
    assert versions[0]["source"].endswith("/artifacts/bundle")
    assert {"key": "run_url", "value": tracker.url} in versions[0]["tags"]
    run = get("mlflow/runs/get", run_id=tracker.run_id).json()["run"]["data"]
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    assert (tags["model_version"], tags["gate"]) == (f"mlflow://models/{name}/2", "passed")
    assert tags["comparison"].startswith(f"against {name} version 1: 100 rows: accuracy 100.00% -> 100.00%")
    files = get("mlflow/artifacts/list", run_id=tracker.run_id, path="tables").json()["files"]
    assert any("comparison" in file["path"] for file in files), files


def test_a_version_that_was_changed_is_not_fetched(name, get, tmp_path):
    submit(tiny_bundle.write(tmp_path / "bundle", GOOD, LABELS), name)
    place = registry.open_registry(registry.parse(f"mlflow://models/{name}"))
    version = place.find("candidate")
    (tmp_path / "one").mkdir()
    other = dataclasses.replace(version, tags={**version.tags, "digest": "0" * 64})
    with pytest.raises(InputError, match="is not the bundle that was registered"):
        registry.fetch(place, other, tmp_path / "one")
    path = version.source.removeprefix("mlflow-artifacts:/")
    url = get(f"mlflow-artifacts/artifacts/{path}/tokenizer.json").url
    assert requests.put(url, data=b"{}", timeout=30).ok
    (tmp_path / "two").mkdir()
    with pytest.raises(InputError, match=r"tokenizer\.json is not the file that bundle\.json lists"):
        registry.fetch(place, version, tmp_path / "two")


def test_a_champion_that_cannot_be_compared_with_stops_it_unless_overridden(name, tmp_path):
    submit(tiny_bundle.write(tmp_path / "other", {"soup": "hot", "ice": "cold"}, ["hot", "cold"]), name)
    promote(name)
    folder = tiny_bundle.write(tmp_path / "bundle", GOOD, LABELS)
    with pytest.raises(InputError, match=r"cannot compare with .* version 1: there is no test row whose labels"):
        submit(folder, name)
    assert submit(folder, name, override="new topics").gate == "overridden"


def test_a_broken_bundle_is_not_registered(name, get, tmp_path):
    folder = tiny_bundle.write(tmp_path / "bundle", GOOD, LABELS)
    (folder / "model.onnx").write_bytes(b"half")
    with pytest.raises(InputError, match=r"model\.onnx is not the file that bundle\.json lists"):
        submit(folder, name)
    assert get("mlflow/registered-models/get", name=name).status_code == 404


def test_commands_register_and_promote(name, data_folder, tmp_path, capsys):
    labels = ("garden", "kitchen", "travel")
    good = tiny_bundle.write(tmp_path / "good", WORDS, labels)
    bad = tiny_bundle.write(tmp_path / "bad", dict.fromkeys(WORDS, "garden"), labels, "2.0.0")
    register = ["register", "--data", f"{data_folder}", "--to", f"mlflow://models/{name}", "--bundle"]
    assert cli.main([*register, f"{good}"]) == 0
    said = f"to make it the champion: flairstream-train promote --model mlflow://models/{name}/1"
    assert said in capsys.readouterr().out
    assert cli.main(["promote", "--model", f"mlflow://models/{name}@candidate"]) == 0
    out = capsys.readouterr().out
    assert "champion now: none" in out
    assert f"{name} version 1 is the champion now" in out
    assert cli.main([*register, f"{bad}"]) == 3
    err = capsys.readouterr().err
    assert "class     rows   errors before, now" in err
    assert err.splitlines()[-1].startswith("flairstream-train: tiny 2.0.0 is not registered, it is significantly worse")
    assert cli.main([*register, f"{bad}", "--override", "a test"]) == 0
    assert "gate: overridden" in capsys.readouterr().out


# One word of each test row of the data folder.
WORDS = {
    **dict.fromkeys(("roses", "lawn", "apple", "hedge"), "garden"),
    **dict.fromkeys(("soup", "bread", "knife", "recipe"), "kitchen"),
    **dict.fromkeys(("train", "suitcase", "flight", "hotel"), "travel"),
}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("/srv/models", "it is no model registry: want mlflow://models/NAME"),
        ("s3://bucket/models", "it is no model registry"),
        ("file:///srv/models", "it is no model registry"),
        ("ftp://models/x", "is no registered model: want"),
        ("mlflow://experiments/x", "is no registered model: want"),
        ("mlflow://models/", "is no registered model"),
        ("mlflow://models/a/b", 'version "b" is no number; an alias is written @b'),
        ("mlflow://models/it's", 'want letters, digits, ".", "_", "-"'),
        ("wandb://models/x", "is no registered model"),
        ("mlflow://models/x@candidate", 'leave "candidate" away'),
    ],
)
def test_bad_urls_are_refused(url, message):
    with pytest.raises(InputError) as err:
        registry.check(url)
    assert message in str(err.value)


def test_urls():
    assert registry.parse("mlflow://models/a-b") == registry.Place("mlflow", "a-b")
    assert registry.parse("mlflow://models/a@champion").reference == "champion"
    assert registry.parse("mlflow://models/a/12").reference == "12"
    found = registry.parse("wandb://acme/model/support:champion")
    assert found == registry.Place("wandb", "support", "acme", "model", "champion")


def test_what_is_not_there_is_said_in_a_line(name, tmp_path):
    with pytest.raises(InputError, match=f'there is no version or alias "candidate" of {name}'):
        registry.promote(f"mlflow://models/{name}@candidate")
    submit(tiny_bundle.write(tmp_path / "bundle", GOOD, LABELS), name)
    for reference in ("@nobody", "/7"):
        with pytest.raises(InputError, match="there is no version or alias"):
            registry.promote(f"mlflow://models/{name}{reference}")
    with pytest.raises(InputError, match="say which version"):
        registry.promote(f"mlflow://models/{name}")


def test_a_server_that_is_away_is_said_in_a_line(monkeypatch, tmp_path):
    folder = tiny_bundle.write(tmp_path / "bundle", GOOD, LABELS)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9 does not answer: is it running"):
        submit(folder, "x")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(InputError, match="needs MLFLOW_TRACKING_URI"):
        submit(folder, "x")


def test_refused_credentials_are_said_in_a_line(monkeypatch, httpserver, tmp_path):
    folder = tiny_bundle.write(tmp_path / "bundle", GOOD, LABELS)
    httpserver.expect_request("/api/2.0/mlflow/experiments/search").respond_with_data("You are not allowed", 401)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", httpserver.url_for(""))
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "canary-of-a-token")
    with pytest.raises(InputError) as err:
        submit(folder, "x")
    assert "refuses the credentials: set MLFLOW_TRACKING_TOKEN" in str(err.value)
    assert "canary" not in str(err.value)
