import json
import os
import shutil
import subprocess
import sys

import pytest

from conftest import train_arguments
from flairstream_training import cli


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "flairstream_training.cli", *arguments]
    environment = {**os.environ, "COLUMNS": "100"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def refused(capsys, *arguments: str) -> str:
    """Runs the command, which must end with code 2 and one line; gives the line."""
    capsys.readouterr()
    assert cli.main([*arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("flairstream-train: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--help"], ["report", "train", "export", "a text and a label", "HF_HUB_OFFLINE", "exit codes"]),
        (["report", "--help"], ["--base MODEL", "--json", "flair:CLASS", "leaks"]),
        (
            ["train", "--help"],
            ["--base MODEL", "--epochs", "(default: 3)", "--golden", "--patience", "--track", "kill -9"],
        ),
        (["export", "--help"], ["--model FILE", "--graphs {fp32,int8,both}", "--overwrite"]),
    ],
)
def test_help_explains(arguments, parts):
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    for part in parts:
        assert part in done.stdout


def test_an_error_is_one_line_without_traceback(tmp_path):
    done = run(*train_arguments(tmp_path / "nowhere", tmp_path, tmp_path / "out"))
    assert done.returncode == 2
    assert done.stderr == f"flairstream-train: --data: no folder {tmp_path}/nowhere\n"


def test_bad_usage_is_code_2():
    assert run().returncode == 2
    assert run("train", "--epochs", "0").returncode == 2


def test_bad_input_is_refused_before_training(capsys, data_folder, base, tmp_path):
    def arguments(*more: str) -> list[str]:
        return train_arguments(data_folder, base, tmp_path / "out", *more)

    (tmp_path / "golden.jsonl").write_text('{"text": "fine"}\n{"txt": "typo"}\n')
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    (tmp_path / "file").write_text("")
    assert "no file" in refused(capsys, *arguments("--notice", f"{tmp_path}/none.txt"))
    assert 'golden.jsonl, line 2: want a JSON string or an object with "text"' in refused(
        capsys, *arguments("--golden", f"{tmp_path}/golden.jsonl")
    )
    assert "holds no bundle" in refused(capsys, *arguments("--out", f"{tmp_path}/full"))
    assert "is not a folder" in refused(capsys, *arguments("--out", f"{tmp_path}/file"))
    assert 'name "Bad Name"' in refused(capsys, *arguments("--name", "Bad Name"))
    assert 'version "1/2"' in refused(capsys, *arguments("--model-version", "1/2"))
    assert "no file" in refused(capsys, *arguments("--test", f"{tmp_path}/none.jsonl"))
    assert "Hugging Face model folder" in refused(capsys, *arguments("--base", f"{tmp_path}/full"))


def test_export_needs_a_model(capsys, data_folder, tmp_path):
    arguments = ["export", "--data", f"{data_folder}", "--name", "tiny", "--out", f"{tmp_path}/out"]
    assert "no Flair model at" in refused(capsys, *arguments, "--model", f"{tmp_path}/none.pt")


def test_export_of_the_saved_model_gives_the_same_bundle(trained, data_folder, tmp_path, capsys):
    (tmp_path / "NOTICE.txt").write_text("thanks")
    (tmp_path / "golden.jsonl").write_text('"one of my own"\n')
    out = tmp_path / "bundle"
    arguments = ["export", "--model", f"{trained.work}/final-model.pt", "--data", f"{data_folder}", "--name", "tiny"]
    more = ["--notice", f"{tmp_path}/NOTICE.txt", "--golden", f"{tmp_path}/golden.jsonl"]
    assert cli.main([*arguments, "--out", f"{out}", *more]) == 0
    manifest = json.loads((out / "bundle.json").read_text())
    for name in ("model.onnx", "model_int8.onnx", "tokenizer.json", "config.json"):
        assert manifest["files"][name] == trained.manifest["files"][name]
    assert manifest["provenance"]["hyper_parameters"] == trained.manifest["provenance"]["hyper_parameters"]
    assert (out / "NOTICE.txt").read_text() == "thanks"
    assert "one of my own" in (out / "golden.jsonl").read_text(encoding="utf-8")
    assert "digest" in capsys.readouterr().out


def test_one_graph_alone_can_be_had(trained, data_folder, tmp_path):
    out = shutil.copytree(trained.bundle, tmp_path / "bundle")
    arguments = ["export", "--model", f"{trained.work}/final-model.pt", "--data", f"{data_folder}", "--name", "tiny"]
    assert cli.main([*arguments, "--out", f"{out}", "--overwrite", "--graphs", "fp32"]) == 0
    manifest = json.loads((out / "bundle.json").read_text())
    assert manifest["graph"] == "model.onnx"
    assert not (out / "model_int8.onnx").exists()
    assert manifest["tolerances"]["graph"] < 1e-3
    assert "fp32_graph" not in manifest["provenance"]["metrics"]


def test_a_notice_whose_name_is_taken_is_refused(capsys, data_folder, base, tmp_path):
    def notices(*paths: str) -> list[str]:
        for path in paths:
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text("a licence")
        given = [part for path in paths for part in ("--notice", f"{tmp_path}/{path}")]
        return train_arguments(data_folder, base, tmp_path / "out", *given)

    assert 'the bundle has another file "README.md": rename one' in refused(capsys, *notices("README.md"))
    assert 'another file "LICENSE"' in refused(capsys, *notices("one/LICENSE", "two/LICENSE"))
