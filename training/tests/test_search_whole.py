"""A search from the command to the bundle, and the notebook, with real trainings of the tiny model."""

import base64
import json
import shutil
from dataclasses import replace
from pathlib import Path

import nbclient
import nbformat
import pytest
import requests
from sklearn.metrics import f1_score

from flairstream_training import bundle, cli, data, space, train
from flairstream_training.errors import InputError, Stopped
from flairstream_training.hyper_parameters import HyperParameters
from flairstream_training.notify import Notifier
from flairstream_training.preprocessing import sentence
from flairstream_training.search import Trial
from flairstream_training.tracking import NoTracker

SPACE = """\
learning_rate = [3e-3, 1e-9]
epochs = 6
batch_size = 8
base = ["{good}", "{torn}"]
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory, data_folder, base, mlflow_server) -> Path:
    """Two tracked trials, of which one cannot but fail: one base model's weights are torn."""
    folder = tmp_path_factory.mktemp("search")
    weights = shutil.copytree(base, folder / "torn") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    (folder / "space.toml").write_text(SPACE.format(good=base, torn=folder / "torn"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
        tracked = ["--trials", "2", "--parallel", "2", "--track", "mlflow://experiments/search"]
        assert cli.main(arguments(folder, data_folder, *tracked)) == 0
    return folder


def arguments(folder: Path, data_folder: Path, *more: str) -> list[str]:
    rows = ["search", "--data", f"{data_folder}", "--allow", "empty-classes"]
    places = ["--space", f"{folder / 'space.toml'}", "--work", f"{folder / 'work'}", "--out", f"{folder / 'bundle'}"]
    return [*rows, *places, "--name", "tiny", "--seed", "2", "--graphs", "fp32", *more]


def journal(folder: Path) -> tuple[dict[int, dict], dict[int, dict]]:
    """What was started and what has ended."""
    entries = [json.loads(line) for line in (folder / "work/search.jsonl").read_text().splitlines()[1:]]
    started = {entry["started"]: entry["values"] for entry in entries if "started" in entry}
    return started, {entry["ended"]: entry for entry in entries if "ended" in entry}


def test_the_trial_that_does_not_fail_wins_and_is_exported(searched, base, data_folder):
    started, ended = journal(searched)
    ((winner, figures),) = [(n, trial) for n, trial in ended.items() if not trial["failure"]]
    (failed,) = [trial for trial in ended.values() if trial["failure"]]
    assert started[winner]["base"] == str(base)
    assert failed["failure"].startswith(f"base model {searched / 'torn'}: want a Hugging Face model folder")

    manifest = bundle.verify(searched / "bundle")
    used = manifest["provenance"]["hyper_parameters"]
    assert (used["learning_rate"], used["epochs"]) == (started[winner]["learning_rate"], 6)

    # The model that was trained at last is that of the trial, and its figure is macro F1 on the validation rows.
    rows = data.open(str(data_folder)).validation
    sentences = [sentence(row.text) for row in rows]
    train.load(searched / "work/best/final-model.pt").predict(sentences)
    predicted = [one.get_label().value for one in sentences]
    assert figures["macro_f1"] == pytest.approx(f1_score([row.label for row in rows], predicted, average="macro"))


def test_there_is_a_table_and_a_picture(searched):
    table = (searched / "work/trials.txt").read_text().splitlines()
    assert len(table) == 3 and "behind best" in table[0] and "base model" in table[2]
    assert (searched / "work/trials.png").read_bytes().startswith(b"\x89PNG")
    assert not list((searched / "work/trials").rglob("*.pt")), "the models of trials are not kept"


def test_each_trial_is_a_run_below_that_of_the_search(searched, mlflow_server):
    started, ended = journal(searched)
    runs = {run["info"]["run_name"]: run for run in tracked_runs(mlflow_server, "search")}
    parent = runs.pop("tiny 1.0.0")
    assert {"search/best_macro_f1", "validation/macro_f1", "test/served/accuracy"} <= metrics(parent)
    assert parent["info"]["status"] == "FINISHED"
    assert set(runs) == {"trial 1", "trial 2"}
    for number, trial in ended.items():
        run = runs[f"trial {number + 1}"]
        assert {"key": "mlflow.parentRunId", "value": parent["info"]["run_id"]} in run["data"]["tags"]
        assert {"key": "base", "value": started[number]["base"]} in run["data"]["params"]
        assert run["info"]["status"] == ("FAILED" if trial["failure"] else "FINISHED")
        assert trial["failure"] or {"train/batch_loss", "validation/macro_f1", "trial/macro_f1"} <= metrics(run)


def tracked_runs(server: str, experiment: str) -> list[dict]:
    address, name = f"{server}/api/2.0/mlflow", {"experiment_name": experiment}
    found = requests.get(f"{address}/experiments/get-by-name", params=name, timeout=30).json()["experiment"]
    asked = {"experiment_ids": [found["experiment_id"]]}
    return requests.post(f"{address}/runs/search", json=asked, timeout=30).json()["runs"]


def metrics(run: dict) -> set[str]:
    return {metric["key"] for metric in run["data"]["metrics"]}


@pytest.mark.parametrize("given", [[], ["--base", "both"]])
def test_base_is_given_once(tmp_path, data_folder, capsys, given):
    line = "learning_rate = [1e-3, 1e-4]" + ('\nbase = "one"' if given else "")
    (tmp_path / "space.toml").write_text(line)
    assert cli.main(arguments(tmp_path, data_folder, *given)) == 2
    assert "base: give it either with --base or in the search space" in capsys.readouterr().err


def test_a_base_that_is_not_there_is_refused_before_any_trial(tmp_path, data_folder, capsys):
    (tmp_path / "space.toml").write_text('base = ["no-such/one", "no-such/two"]')
    assert cli.main(arguments(tmp_path, data_folder)) == 2
    assert "base model no-such/one: want a Hugging Face model folder or a hub name" in capsys.readouterr().err
    assert not (tmp_path / "work/search.jsonl").exists()


def test_a_base_that_cannot_be_exported_is_refused_before_any_trial(tmp_path, data_folder, base, capsys):
    config = shutil.copytree(base, tmp_path / "relu") / "config.json"
    config.write_text(config.read_text().replace('"gelu"', '"relu"'))
    (tmp_path / "space.toml").write_text(f'base = ["{base}", "{tmp_path / "relu"}"]')
    assert cli.main(arguments(tmp_path, data_folder)) == 2
    assert 'relu: cannot export a model with the activation "relu": only "gelu"' in capsys.readouterr().err
    assert not (tmp_path / "work/search.jsonl").exists()


class Told(Notifier):
    """Keeps what would be told."""

    def __init__(self) -> None:
        super().__init__()
        self.notices = []

    def send(self, notice) -> None:
        self.notices.append(notice)


@pytest.fixture
def search_of(monkeypatch, data_folder, base, tmp_path):
    """Runs the story of a search around trials that came out so; gives the job at its end and the notices."""
    from flairstream_training import export, job
    from flairstream_training.search import winner

    def run(*outcomes, parallel: int = 1) -> tuple[list[job.Job], list]:
        def ended(*_):
            if isinstance(outcomes[0], BaseException):
                raise outcomes[0]
            return list(outcomes)

        jobs, told = [], Told()
        request = export.Request(tmp_path / "bundle", bundle.Identity("tiny", "1.0.0"), base_name="mine")
        rows = data.open(str(data_folder))
        last = job.Job(rows, str(base), HyperParameters(threads=2), request, tmp_path / "work", NoTracker(), told)
        monkeypatch.setattr(winner, "run", ended)
        monkeypatch.setattr(winner.job, "run", jobs.append)
        searched = space.parse({"learning_rate": [1e-3, 1e-4], "epochs": 5, "max_tokens": 5})
        try:
            winner.train_best(searched, replace(last, allow=("empty-classes",)), 2, parallel)
        except (InputError, Stopped) as err:
            told.notices.append(err)
        return jobs, told.notices

    return run


def test_the_best_hyper_parameters_are_those_of_the_job(search_of, base):
    failed = Trial(0, {"learning_rate": 1e-3}, 9.0, failure="no device")
    (last,), (notice,) = search_of(failed, Trial(1, {"learning_rate": 1e-4}, 9.0, 0.91, 0.92, 0.3), parallel=3)
    assert last.params == HyperParameters(learning_rate=1e-4, epochs=5, max_tokens=5, threads=6)  # 3 trials of 2
    assert (last.base, last.work.name, last.request.base_name) == (str(base), "best", "mine")
    assert (notice.kind, notice.severity, notice.subject) == ("search_finished", "good", "tiny 1.0.0: search finished")
    assert dict(notice.facts) == {
        "Trials": "2, 1 failed",
        "Best": "trial 2: macro F1 0.9100 on validation rows",
        "Learning rate": "0.0001",
    }


def test_the_report_before_the_trials_counts_with_what_the_space_fixes(search_of, tmp_path):
    search_of(Trial(0, {"learning_rate": 1e-4}, 9.0, 0.91, 0.92, 0.3))
    looked = json.loads((tmp_path / "work/report.json").read_text())
    assert looked["max_tokens"] == 5 and looked["splits"]["train"]["truncated"] > 0


def test_a_search_of_which_all_trials_failed_ends_with_the_reason(search_of):
    jobs, (notice, err) = search_of(Trial(0, {"learning_rate": 1e-3}, 9.0, failure="no device"))
    assert not jobs
    assert str(err).startswith("all trials failed (1): no device; mend it")
    assert (notice.kind, notice.severity, notice.text) == ("training_failed", "critical", str(err))


def test_a_search_that_was_stopped_says_how_to_go_on(search_of):
    jobs, (notice, err) = search_of(Stopped(15))
    assert not jobs and err.code == 143
    assert (notice.severity, notice.subject) == ("warning", "tiny 1.0.0: search stopped")
    assert notice.text.startswith("stopped by SIGTERM; started again with the same arguments")


NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "train.ipynb"


@pytest.fixture(scope="module")
def executed(searched, data_folder, base, mlflow_server, tmp_path_factory):
    """The notebook, executed on the trials of the command: its search finds them done, and trains the best."""
    folder = tmp_path_factory.mktemp("notebook")
    shutil.copytree(searched / "work", folder / "work", ignore=shutil.ignore_patterns("best", "tracking"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    values = {
        "data": str(data_folder),
        "allow": ["empty-classes"],
        "base": str(base),
        "name": "tiny",
        "space": str(searched / "space.toml"),
        "trials": 2,
        "settings": {"seed": 2},
        "track": "mlflow://experiments/notebook",
        "register": "mlflow://models/notebook",
    }
    parameters.source += "".join(f"\n{name} = {value!r}" for name, value in values.items())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
        patch.setenv("OMP_NUM_THREADS", "1")
        nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return folder, {cell.id: cell for cell in notebook.cells}


def test_the_notebook_has_no_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.parametrize("cell", ["rows", "trials", "curves", "confusion", "calibration"])
def test_the_notebook_shows_its_pictures(executed, cell):
    _, cells = executed
    pictures = [output.data["image/png"] for output in cells[cell].outputs if "image/png" in output.get("data", {})]
    (picture,) = map(base64.b64decode, pictures)
    assert picture.startswith(b"\x89PNG") and len(picture) > 5_000


def test_the_notebook_finds_the_trials_done(executed, searched):
    folder, cells = executed
    assert journal(folder) == journal(searched)
    said = "".join(output.get("text", "") for output in cells["search"].outputs)
    assert "going on with the search in work: 2 trials are done" in said
    assert (searched / "work/trials.txt").read_text() in said


def test_the_notebook_ends_with_a_registered_version(executed, mlflow_server):
    folder, cells = executed
    manifest = bundle.verify(folder / "bundle")
    assert manifest["name"] == "tiny"
    address = f"{mlflow_server}/api/2.0/mlflow"
    asked = {"name": "notebook", "alias": "candidate"}
    version = requests.get(f"{address}/registered-models/alias", params=asked, timeout=30).json()["model_version"]
    tags = {tag["key"]: tag["value"] for tag in version["tags"]}
    assert tags["digest"] == bundle.digest(folder / "bundle")
    said = "".join(output.get("text", "") for output in cells["registered"].outputs)
    assert "mlflow://models/notebook/1 candidate" in said

    (run,) = tracked_runs(mlflow_server, "notebook")
    assert run["info"]["run_id"] == version["run_id"]
