import hashlib
import html
import json
import re
import signal
from pathlib import Path

import pytest

from flairstream_training import bundle, card, evaluate, export, golden, serving, train
from flairstream_training.errors import InputError, Stopped

KEYS = [
    "format",
    "name",
    "version",
    "task",
    "labels",
    "max_tokens",
    "hidden_size",
    "preprocessing",
    "graph",
    "tolerances",
]


def test_manifest_has_every_file_with_its_digest(trained):
    manifest = trained.manifest
    present = {path.name for path in trained.bundle.iterdir()} - {"bundle.json"}
    assert set(manifest["files"]) == present
    assert present == {
        "model.onnx",
        "model_int8.onnx",
        "config.json",
        "tokenizer.json",
        "golden.jsonl",
        "calibration.json",
        "README.md",
    }
    for name, entry in manifest["files"].items():
        content = (trained.bundle / name).read_bytes()
        assert entry == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_manifest_says_what_a_server_needs(trained):
    manifest = trained.manifest
    assert list(manifest) == [*KEYS, "files", "provenance"]
    assert manifest["format"] == "flairstream.bundle/v1"
    assert (manifest["task"], manifest["labels"]) == ("single_label", ["garden", "kitchen", "travel"])
    assert (manifest["max_tokens"], manifest["hidden_size"]) == (512, 48)
    assert manifest["graph"] == "model_int8.onnx"
    assert set(manifest["tolerances"]) == {"graph", "flair"}
    assert manifest["preprocessing"] == {
        "cleaning": "flair-0.15",
        "word_tokenizer": "none",
        "context": False,
        "split_special_tokens": True,
    }


def test_provenance_says_where_it_came_from(trained):
    provenance = trained.manifest["provenance"]
    assert provenance["data"]["rows"] == {"train": 48, "validation": 11, "test": 12, "reference": 1}
    assert (provenance["data"]["name"], provenance["data"]["licence"]) == ("Three topics", "CC0 1.0")
    assert provenance["base_model"] == {"name": "tiny-bert", "licence": "MIT"}
    assert provenance["seed"] == 42
    assert provenance["hyper_parameters"]["epochs"] == 8
    assert provenance["versions"]["onnxruntime"] == "1.29.0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", provenance["created"])
    metrics = provenance["metrics"]
    assert metrics["fp32_graph"]["agreement_with_flair"] == 1
    assert metrics["accuracy_loss"] == round(metrics["flair_fp32"]["accuracy"] - metrics["served"]["accuracy"], 6)
    assert metrics["mcnemar_p"] == 1
    assert set(metrics["calibration"]) == {"method", "temperature", "rows", "ece_before", "ece_after", "ece_rows"}


def test_metrics_are_those_of_the_test_rows(trained, data_folder):
    rows = [json.loads(line) for line in (data_folder / "test.jsonl").open()]
    flair = evaluate.flair_probabilities(trained.classifier, [row["text"] for row in rows])
    labels = trained.manifest["labels"]
    right = [labels[p.index(max(p))] == row["label"] for p, row in zip(flair, rows, strict=True)]
    assert trained.manifest["provenance"]["metrics"]["flair_fp32"]["accuracy"] == pytest.approx(sum(right) / len(right))


def test_figures_of_each_class_are_those_of_the_test_rows(trained, data_folder):
    """Counted by hand from what the bundle serves."""
    rows = [json.loads(line) for line in (data_folder / "test.jsonl").open()]
    served = serving.open(trained.bundle)
    chosen = [labels[0] for labels in served.choose(served.scores([row["text"] for row in rows]))]
    metrics, labels = trained.manifest["provenance"]["metrics"], trained.manifest["labels"]
    for i, label in enumerate(labels):
        right = sum(row["label"] == got == label for row, got in zip(rows, chosen, strict=True))
        figures = metrics["per_class"][label]
        assert figures["support"] == 4
        assert figures["recall"] == pytest.approx(right / 4, abs=1e-6)
        assert figures["precision"] == pytest.approx(right / max(1, chosen.count(label)), abs=1e-6)
        assert metrics["confusion"][i][i] == right
        assert sum(metrics["confusion"][i]) == 4


def test_golden_texts_are_reproduced(trained):
    lines = [
        json.loads(line) for line in (trained.bundle / "golden.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    ]
    assert 64 <= len(lines) <= golden.LIMIT
    assert [line["text"] for line in lines] == list(golden.AWKWARD)
    ids = evaluate.token_ids(trained.tokenizer, [line["text"] for line in lines], 512)
    assert [line["ids"] for line in lines] == ids
    got = evaluate.graph_probabilities(trained.graph("model_int8.onnx"), ids)
    assert evaluate.largest_difference(got, [line["graph"] for line in lines]) < 1e-9
    assert evaluate.largest_difference(got, [line["flair"] for line in lines]) < trained.manifest["tolerances"]["flair"]
    assert sum(line["flair"] is None for line in lines) >= 3


def test_nothing_tells_of_this_machine(trained):
    for path in trained.bundle.iterdir():
        assert str(trained.bundle.parent).encode() not in path.read_bytes(), path.name
    assert "_name_or_path" not in (trained.bundle / "config.json").read_text()


def test_tokenizer_takes_special_tokens_for_text(trained):
    content = json.loads((trained.bundle / "tokenizer.json").read_text(encoding="utf-8"))
    assert (content["truncation"], content["padding"], content["added_tokens"]) == (None, None, [])
    assert trained.tokenizer.encode("[SEP]").ids[1:-1] != [102]


def test_config_has_the_labels(trained):
    config = json.loads((trained.bundle / "config.json").read_text())
    assert config["id2label"] == {"0": "garden", "1": "kitchen", "2": "travel"}
    assert config["model_type"] == "bert"


def test_card_has_the_figures_and_the_licences(trained):
    card, metrics = (trained.bundle / "README.md").read_text(), trained.manifest["provenance"]["metrics"]
    assert f"| Flair's own predict(), fp32 | {metrics['flair_fp32']['accuracy']:.2%} |" in card
    assert f"| `model_int8.onnx` | {metrics['served']['accuracy']:.2%} |" in card
    assert f"| `model.onnx` | {metrics['fp32_graph']['accuracy']:.2%} |" in card
    garden = metrics["per_class"]["garden"]
    assert f"| `garden` | {garden['precision']:.2%} | {garden['recall']:.2%} | {garden['f1']:.4f} | 4 |" in card
    assert "gives p = 1: it does not tell them apart" in card
    for part in ("### Calibration", "| train | 48 |", "Texts that stand in both train and test: 0."):
        assert part in card
    for part in ("# tiny 1.0.0", "tiny-bert, MIT", "Three topics, CC0 1.0", "## Limits", "flairstream classify", "512"):
        assert part in card


@pytest.mark.parametrize("name", ["", "Upper", "-a", "a b", "a" * 65, "ä"])
def test_bad_names_are_refused(name):
    with pytest.raises(InputError, match="want a-z"):
        bundle.Identity(name, "1")


@pytest.mark.parametrize("version", ["", " 1", "a/b", "1" * 65])
def test_bad_versions_are_refused(version):
    with pytest.raises(InputError, match="want letters"):
        bundle.Identity("a", version)


def test_only_a_bundle_is_written_over(tmp_path):
    bundle.check_target(tmp_path / "new", overwrite=False)
    bundle.check_target(tmp_path, overwrite=False)
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="holds no bundle"):
        bundle.check_target(tmp_path, overwrite=True)
    (tmp_path / "bundle.json").write_text("{}")
    with pytest.raises(InputError, match="give --overwrite"):
        bundle.check_target(tmp_path, overwrite=False)
    bundle.check_target(tmp_path, overwrite=True)


def test_a_failed_write_leaves_the_old_bundle(tmp_path):
    old = tmp_path / "bundle"
    bundle.write(old, {"a": b"1"}, {"provenance": {}})
    with pytest.raises(InputError, match=r"cannot write the bundle .*: No such file or directory; what was there is"):
        bundle.write(old, {"a": b"2", "no/such/folder": b""}, {"provenance": {}})
    assert (old / "a").read_bytes() == b"1"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("place", [1, 2])
def test_a_stop_between_the_two_renames_leaves_the_old_bundle(tmp_path, monkeypatch, place):
    """A signal may come before a rename or after it."""
    old, rename, seen = tmp_path / "bundle", Path.rename, []
    bundle.write(old, {"a": b"1"}, {"provenance": {}})

    def stopped(self, target):
        seen.append(target)
        if len(seen) == place:
            if place == 1:
                rename(self, target)
            raise Stopped(signal.SIGTERM)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stopped)
    with pytest.raises(Stopped):
        bundle.write(old, {"a": b"2"}, {"provenance": {}})
    assert (old / "a").read_bytes() == b"1"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "lists no files"),
        ("{}", "lists no files"),
        ('{"files": ["a"]}', "lists no files"),
        ('{"files": {}, "format": "other"}', 'its format is "other"'),
        ('{"files": {"../a": {}}, "format": "flairstream.bundle/v1"}', "which is no name of a file"),
        ('{"files": {"a\\\\b": {}}, "format": "flairstream.bundle/v1"}', "which is no name of a file"),
        ('{"files": {"a": {}}, "format": "flairstream.bundle/v1"}', "is not the file"),
    ],
)
def test_a_manifest_that_is_none_is_refused(tmp_path, content, message):
    (tmp_path / "bundle.json").write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        bundle.verify(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_files_of_an_export_are_known(trained):
    assert {path.name for path in trained.bundle.iterdir()} == bundle.NAMES


def test_labels_are_shown_as_they_are_in_tables(trained):
    odd = ["a|b", "`c`", "two\nlines", "<i> & _x_ |"]
    metrics = trained.manifest["provenance"]["metrics"]
    rows = dict(zip(odd, 4 * list(metrics["per_class"].values()), strict=False))
    provenance = {
        **trained.manifest["provenance"],
        "metrics": {**metrics, "per_class": rows, "confusion": [[1] * 4] * 4},
    }
    written = card.write({**trained.manifest, "labels": odd, "provenance": provenance})
    lines = [line for line in written.split("\n") if line.startswith("| <code>")]
    assert [line.count("|") for line in lines] == [6] * 4
    assert "Labels: <code>a&#124;b</code>, <code>&#96;c&#96;</code>, <code>two lines</code>, " in written
    assert "rows of <code>a&#124;b</code> get <code>&#96;c&#96;</code>" in written
    assert [html.unescape(line.split("</code>")[0].removeprefix("| <code>")) for line in lines] == [
        *odd[:2],
        "two lines",
        odd[3],
    ]


def test_a_card_of_more_labels_than_are_listed_has_no_empty_table(trained):
    metrics = {**trained.manifest["provenance"]["metrics"], "per_class": {}}
    written = card.write({**trained.manifest, "provenance": {**trained.manifest["provenance"], "metrics": metrics}})
    assert "| label |" not in written


def _request(tmp_path) -> export.Request:
    return export.Request(out=tmp_path / "bundle", identity=bundle.Identity("tiny", "1"))


@pytest.fixture
def dataset(data_folder):
    from flairstream_training import data

    return data.load(data.split_paths(data_folder, {}), "", "", "")


def test_an_int8_graph_far_from_flair_is_not_written(trained, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(export.quantize, "WEIGHT_LIMIT", 1)
    with pytest.raises(InputError, match=r"model_int8\.onnx.*--graphs fp32"):
        export.export(trained.classifier, dataset, _request(tmp_path), {})
    assert not list(tmp_path.iterdir())


def test_an_fp32_graph_that_is_not_flairs_model_is_not_written(trained, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(export.evaluate, "flair_probabilities", lambda _, texts: [[0.2, 0.3, 0.5]] * len(texts))
    with pytest.raises(InputError, match=r"model\.onnx.*fault of the exporter"):
        export.export(trained.classifier, dataset, _request(tmp_path), {})


def test_other_labels_than_the_datas_are_refused(trained, dataset, tmp_path):
    import dataclasses

    fewer = dataclasses.replace(dataset, train=[row for row in dataset.train if row.label != "garden"])
    with pytest.raises(InputError, match="labels are not those of the data"):
        export.export(trained.classifier, fewer, _request(tmp_path), {})


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("cls_pooling", "max", 'pooling "max"'),
        ("layer_indexes", [-1, -2], "layers other than the last"),
        ("context_length", 64, "context from neighbouring sentences"),
        ("allow_long_sentences", True, "split into windows"),
    ],
)
def test_what_is_not_exported_exactly_is_refused(trained, dataset, tmp_path, monkeypatch, attribute, value, message):
    monkeypatch.setattr(trained.classifier.embeddings, attribute, value)
    with pytest.raises(InputError, match=message):
        export.export(trained.classifier, dataset, _request(tmp_path), {})


def test_special_tokens_read_from_text_are_refused(trained, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(trained.classifier.embeddings.tokenizer, "split_special_tokens", False)
    with pytest.raises(InputError, match="special tokens read from text"):
        export.export(trained.classifier, dataset, _request(tmp_path), {})


def test_recorded_parameters_travel_with_the_saved_model(trained):
    assert train.recorded(trained.work)["learning_rate"] == 3e-3
    assert train.recorded(trained.bundle) == {}
