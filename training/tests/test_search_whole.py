"""A search from the command to the bundle, and the notebook, with real trainings of the tiny model."""

import json
import shutil
from pathlib import Path

import pytest
from sklearn.metrics import f1_score

from flairstream_training import bundle, cli, data, train
from flairstream_training.preprocessing import sentence

SPACE = """\
learning_rate = [3e-3, 1e-9]
epochs = 6
batch_size = 8
base = ["{good}", "{unexportable}"]
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory, data_folder, base) -> Path:
    """Two trials, of which one cannot but fail: one base model's activation is not exported."""
    folder = tmp_path_factory.mktemp("search")
    config = shutil.copytree(base, folder / "relu") / "config.json"
    config.write_text(config.read_text().replace('"gelu"', '"relu"'))
    (folder / "space.toml").write_text(SPACE.format(good=base, unexportable=folder / "relu"))
    assert cli.main(arguments(folder, data_folder, "--trials", "2", "--parallel", "2")) == 0
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


def test_the_trial_that_can_be_exported_wins_and_is_exported(searched, base, data_folder):
    started, ended = journal(searched)
    ((winner, figures),) = [(n, trial) for n, trial in ended.items() if not trial["failure"]]
    (failed,) = [trial for trial in ended.values() if trial["failure"]]
    assert started[winner]["base"] == str(base)
    assert failed["failure"].startswith('cannot export this classifier exactly: activation "relu"')

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
    assert len(table) == 3 and "behind best" in table[0] and 'activation "relu"' in table[2]
    assert (searched / "work/trials.png").read_bytes().startswith(b"\x89PNG")
    assert not list((searched / "work/trials").rglob("*.pt")), "the models of trials are not kept"


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
