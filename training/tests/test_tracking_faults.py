"""What an MLflow server, or a proxy before it, may do wrong; the server is one that answers as a test wants."""

import json
import os
import re
import socket
import threading

import pytest
from werkzeug import Request, Response

from flairstream_training import credentials, tracking
from flairstream_training.errors import InputError
from flairstream_training.tracking import mlflow_client, sender

_RUN = {"info": {"run_id": "r1", "experiment_id": "1", "status": "RUNNING", "artifact_uri": "mlflow-artifacts:/1/r1"}}
_ANSWERS = {
    "experiments/search": {"experiments": []},
    "experiments/get-by-name": {"experiment": {"experiment_id": "1", "name": "x"}},
    "runs/search": {},
    "runs/create": {"run": _RUN},
    "runs/get": {"run": _RUN},
    "runs/update": {"run_info": _RUN["info"]},
}


class Server:
    """Keeps what is logged; refuses what has the name "refused", fails at "fails"; a proxy may be in its place."""

    def __init__(self) -> None:
        self.metrics: list[tuple[str, int]] = []
        self.tags: dict[str, str] = {}
        self.proxy = ""  # what a proxy answers in the server's place
        self.asked = threading.Event()

    def __call__(self, request: Request) -> Response:
        self.asked.set()
        if self.proxy:
            return Response(self.proxy, 404)
        route = request.path.removeprefix("/api/2.0/mlflow/")
        if route != "runs/log-batch":
            return Response(json.dumps(_ANSWERS.get(route, {})), 200)
        names = [entry["key"] for kind in ("metrics", "tags") for entry in request.json.get(kind, ())]
        if "fails" in names:
            return Response("Internal Server Error", 500)
        if "refused" in names:
            return Response(json.dumps({"error_code": "INVALID_PARAMETER_VALUE", "message": "no"}), 400)
        self.metrics += [(entry["key"], int(entry["step"])) for entry in request.json.get("metrics", ())]
        self.tags |= {entry["key"]: entry["value"] for entry in request.json.get("tags", ())}
        return Response("{}", 200)


@pytest.fixture
def server(httpserver, monkeypatch):
    made = Server()
    httpserver.expect_request(re.compile("/.*")).respond_with_handler(made)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", httpserver.url_for("").rstrip("/"))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(sender, "LINGER_SECONDS", 0.001)
    monkeypatch.setattr(sender, "FIRST_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(sender, "LONGEST_DELAY_SECONDS", 0.05)
    return made


def test_a_page_of_a_proxy_is_an_outage(server, tmp_path, capsys):
    tracker = tracking.open("mlflow://experiments/x", "one", tmp_path)
    assert tracker.flush() == ""
    server.proxy = "default backend - 404"
    server.asked.clear()
    tracker.metrics({"loss": 0.5}, 1)
    assert server.asked.wait(30)
    server.proxy = ""
    tracker.finish()
    assert server.metrics == [("loss", 1)]
    assert "refused" not in capsys.readouterr().err


def test_one_refused_metric_does_not_take_the_others_with_it(server, tmp_path, capsys):
    tracker = tracking.open("mlflow://experiments/x", "one", tmp_path)
    for step in range(1, 101):
        tracker.metrics({"loss": 0.5} | ({"refused": 1.0} if step % 40 == 0 else {}), step)
    tracker.finish()
    assert sorted(server.metrics) == [("loss", step) for step in range(1, 101)]
    assert capsys.readouterr().err.count("metrics refused and left out") == 1


def test_a_record_that_never_goes_does_not_keep_the_later_ones(server, tmp_path, capsys):
    tracker = tracking.open("mlflow://experiments/x", "one", tmp_path)
    tracker.tags({"fails": "at the server"})
    tracker.tags({"odd": "half a character \ud800"})
    for step in range(1, 41):
        tracker.metrics({"loss": 0.5} | ({"fails": 1.0} if step == 20 else {}), step)
    tracker.tags({"later": "yes"})
    tracker.finish()
    assert server.tags["later"] == "yes"
    assert {step for _, step in server.metrics} == set(range(1, 41)) - {20}
    told = capsys.readouterr().err
    assert "tags refused and left out" in told
    assert "not sent" not in told


@pytest.mark.usefixtures("server")
def test_a_server_that_takes_requests_and_never_answers_is_given_up(tmp_path, monkeypatch, capsys):
    tracker = tracking.open("mlflow://experiments/x", "one", tmp_path)
    assert tracker.flush() == ""
    monkeypatch.setattr(sender, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(sender, "_STOP_SECONDS", 0.1)
    monkeypatch.setattr(mlflow_client, "_ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        tracker._delivery._client = mlflow_client.client()
        tracker.metrics({"loss": 0.5}, 1)
        tracker.finish()  # would wait for the request's own end, minutes later
    assert "the server does not answer. It is kept" in capsys.readouterr().err


@pytest.mark.usefixtures("server")
def test_sync_tries_every_training_before_it_says_what_is_wrong(tmp_path):
    for name in ("a", "c"):
        tracking.open("mlflow://experiments/x", name, tmp_path / name).finish()
    (tmp_path / "b" / "tracking").mkdir(parents=True)
    (tmp_path / "b" / "tracking" / "run.json").write_text("torn")
    (tmp_path / "c" / "tracking" / "sent").unlink()
    with pytest.raises(InputError, match=r"b/tracking/run\.json is damaged") as caught:
        tracking.sync(tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "c" / "tracking" / "sent").exists()


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("secret", ["canary\nof two lines", "canary\x07", "canary\u2028", "canary-鍵"])
def test_a_secret_that_no_header_takes_is_refused_and_not_shown(tmp_path, monkeypatch, secret):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", secret)
    with pytest.raises(InputError, match="MLFLOW_TRACKING_TOKEN has a line break or a character") as caught:
        tracking.open("mlflow://experiments/x", "one", tmp_path)
    assert "canary" not in str(caught.value)
    (tmp_path / "token").write_text(f"{secret}\nand more\n")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(InputError, match="MLFLOW_TRACKING_TOKEN has") as caught:
        credentials.read("MLFLOW_TRACKING_TOKEN")
    assert "canary" not in str(caught.value)


@pytest.mark.usefixtures("server")
def test_a_secret_in_an_answer_is_not_shown(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "canary\\of'a token")
    err = mlflow_client.errors()[0](f"a proxy says: {os.environ['MLFLOW_TRACKING_TOKEN']!r} is no token")
    assert mlflow_client.reason(err).endswith('says: a proxy says: "***" is no token')
