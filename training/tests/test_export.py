"""What export promises beside the files themselves: several labels as Flair gives them, no more accuracy lost than
allowed, the same bytes each time, and nothing written where it fails."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from flair.data import Dictionary
from flair.embeddings import DocumentPoolEmbeddings, OneHotEmbeddings, TransformerDocumentEmbeddings
from flair.models import TextClassifier

from flairstream_training import bundle, cli, data, evaluate, export, golden, preprocessing, serving
from flairstream_training.errors import InputError

LABELS = ["garden", "kitchen", "travel"]
TEXTS = [text for text in golden.AWKWARD if text.strip()]


def several(base: Path, threshold=0.5) -> TextClassifier:
    torch.manual_seed(5)
    embeddings = TransformerDocumentEmbeddings(
        str(base),
        layers="-1",
        cls_pooling="mean",
        transformers_tokenizer_kwargs={"split_special_tokens": True, "model_max_length": 512},
        **preprocessing.EMBEDDINGS,
    )
    labels = Dictionary(add_unk=False)
    for label in LABELS:
        labels.add_item(label)
    made = TextClassifier(
        embeddings, label_type="label", label_dictionary=labels, multi_label=True, multi_label_threshold=threshold
    )
    return made.eval()


def flairs_labels(classifier: TextClassifier, texts: list[str]) -> list[set[str]]:
    sentences = [preprocessing.sentence(text) for text in texts]
    for sentence in sentences:
        classifier.predict(sentence)
    return [{label.value for label in sentence.labels} for sentence in sentences]


@pytest.fixture(scope="module")
def classifier(base) -> TextClassifier:
    return several(base)


@pytest.fixture(scope="module")
def dataset(classifier) -> data.Dataset:
    """Rows with the very labels that the classifier gives, none included."""
    rows = [
        data.Row(text, tuple(sorted(labels)))
        for text, labels in zip(TEXTS, flairs_labels(classifier, TEXTS), strict=True)
    ]
    assert len({row.labels for row in rows}) > 3
    every = [data.Row("each", (label,)) for label in LABELS]
    return data.Dataset(train=[*rows, *every], validation=rows, test=rows, multi_label=True)


def request(out: Path, **more) -> export.Request:
    return export.Request(out=out, identity=bundle.Identity("several", "1"), **more)


@pytest.fixture(scope="module")
def exported(tmp_path_factory, classifier, dataset) -> Path:
    out = tmp_path_factory.mktemp("several") / "bundle"
    export.export(classifier, dataset, request(out, graphs=(bundle.FP32,)), {})
    return out


def test_a_multi_label_bundle_gives_the_labels_that_flair_gives(exported, classifier):
    served = serving.open(exported)
    assert served.multi_label
    scores = served.scores(TEXTS)
    assert [set(labels) for labels in served.choose(scores)] == flairs_labels(classifier, TEXTS)
    assert not np.allclose(scores.sum(axis=1), 1)


def test_a_multi_label_bundle_says_so(exported):
    manifest = json.loads((exported / "bundle.json").read_text())
    assert manifest["task"] == "multi_label"
    assert manifest["threshold"] == pytest.approx(0.5)
    metrics = manifest["provenance"]["metrics"]
    assert metrics["flair_fp32"]["accuracy"] == metrics["served"]["accuracy"] == 1
    assert set(metrics["per_class"]) == set(LABELS)
    assert "confusion" not in metrics
    assert json.loads((exported / "config.json").read_text())["problem_type"] == "multi_label_classification"
    card = (exported / "README.md").read_text()
    assert "those of 3 labels whose probability is 0.5 or more" in card
    assert "A sigmoid of each of the logits" in card


@pytest.mark.parametrize("threshold", [0.5, 0.3, 0.1, 0.9999999])
def test_at_or_above_the_bundles_threshold_is_above_flairs(classifier, threshold, monkeypatch):
    """Flair compares float32 with float64, strictly: no float32 falls between the two rules."""
    monkeypatch.setattr(classifier, "multi_label_threshold", threshold)
    near = np.float32(threshold)
    scores = [near, np.nextafter(near, np.float32(0)), np.nextafter(near, np.float32(1))]
    chosen = serving.choose(LABELS, np.array([scores]), export.threshold(classifier))[0]
    assert set(chosen) == {label for label, score in zip(LABELS, scores, strict=True) if score.item() > threshold}


def test_a_probability_of_exactly_the_threshold_gives_no_label(base):
    undecided = several(base)
    with torch.no_grad():
        undecided.decoder.weight.zero_()
        undecided.decoder.bias.zero_()
    assert flairs_labels(undecided, ["a"]) == [set()]
    assert serving.choose(LABELS, np.array([[0.5] * 3], np.float32), export.threshold(undecided)) == [()]


def test_a_threshold_for_each_label_is_refused(base, dataset, tmp_path):
    with pytest.raises(InputError, match="a threshold for each label"):
        export.export(several(base, {"default": 0.5, "garden": 0.2}), dataset, request(tmp_path / "out"), {})


def test_a_model_that_is_no_transformer_is_refused(dataset, tmp_path):
    words = Dictionary(add_unk=True)
    other = TextClassifier(
        DocumentPoolEmbeddings([OneHotEmbeddings(words)]), label_type="label", label_dictionary=words, multi_label=True
    )
    with pytest.raises(InputError, match="cannot export DocumentPoolEmbeddings of OneHotEmbeddings"):
        export.export(other, dataset, request(tmp_path / "out"), {})


def test_single_label_rows_do_not_fit_a_multi_label_model(classifier, dataset, tmp_path):
    single = dataclasses.replace(dataset, multi_label=False)
    with pytest.raises(InputError, match="not those of the data"):
        export.export(classifier, single, request(tmp_path / "out"), {})


def _worse(monkeypatch, wrong: int) -> None:
    """Has Flair be right on every test row, and the served graph wrong on the first so many."""
    real = evaluate.answers
    calls = iter((0, wrong))

    def answers(rows, labels, found, threshold=None):
        made = real(rows, labels, found, threshold)
        spoiled = next(calls, None)
        if spoiled is None:
            return made
        chosen = made.truth.copy()
        chosen[:spoiled] = ~chosen[:spoiled]
        return dataclasses.replace(made, chosen=chosen)

    monkeypatch.setattr(export.evaluate, "answers", answers)


def test_more_accuracy_lost_than_allowed_writes_nothing(trained, data_folder, tmp_path, monkeypatch):
    rows = data.load(data.split_paths(data_folder, {}), "", "", "")
    _worse(monkeypatch, 1)
    with pytest.raises(InputError, match=r"8\.33% points lost, over the limit of 0\.50%.*--max-accuracy-loss"):
        export.export(trained.classifier, rows, request(tmp_path / "out"), {})
    assert not list(tmp_path.iterdir())


def test_as_much_accuracy_lost_as_allowed_is_written_down(trained, data_folder, tmp_path, monkeypatch):
    rows = data.load(data.split_paths(data_folder, {}), "", "", "")
    _worse(monkeypatch, 1)
    manifest = export.export(trained.classifier, rows, request(tmp_path / "out", max_accuracy_loss=1 / 12), {})
    assert manifest["provenance"]["metrics"]["accuracy_loss"] == pytest.approx(1 / 12, abs=1e-6)
    assert "loses 8.33 percentage points" in (tmp_path / "out" / "README.md").read_text()


def run(threads: int, command: list[str]) -> None:
    torch.set_num_threads(threads)
    sys.exit(cli.main(command))


def test_the_same_checkpoint_gives_the_same_bytes(trained, data_folder, tmp_path, forks):
    """As the training's own export, in another process, with other hashes and another number of threads."""
    command = ["export", "--data", str(data_folder)]
    command += ["--model", str(trained.work / "final-model.pt"), "--out", str(tmp_path / "again"), "--name", "tiny"]
    command += ["--data-name", "Three topics", "--data-licence", "CC0 1.0"]
    command += ["--base-name", "tiny-bert", "--base-licence", "MIT"]
    process = forks.Process(target=run, args=(2, command))
    process.start()
    process.join()
    assert process.exitcode == 0
    one, other = (
        {path.name: path.read_bytes() for path in out.iterdir()} for out in (trained.bundle, tmp_path / "again")
    )
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []
    assert trained.manifest["provenance"]["created"]


def test_rows_for_scales_and_for_calibration_are_apart_and_always_the_same():
    rows = [data.Row(f"text {i}", ("a",)) for i in range(1000)]
    for count in (0, 1, 5, 40, 1000):
        made = data.Dataset(train=[], validation=rows[:count], test=[], reference=rows[:3])
        scales, others = export.set_apart(made)
        assert sorted([*scales, *others], key=rows.index) == rows[:count]
        assert len(scales) == min(300, count // 2)
        assert export.set_apart(made) == (scales, others)


def test_a_full_disk_is_one_clear_line_and_keeps_the_old_bundle(tmp_path):
    """The limit on the size of a file stands for the disk's end: both fail the write."""
    code = (
        "import pathlib, resource, signal, sys; from flairstream_training import bundle\n"
        "from flairstream_training.errors import InputError\n"
        "out = pathlib.Path(sys.argv[1]); bundle.write(out, {'a': b'old'}, {'provenance': {}})\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: bundle.write(out, {'a': bytes(9999)}, {'provenance': {}})\n"
        "except InputError as err: print(err)"
    )
    out = tmp_path / "bundle"
    got = subprocess.run([sys.executable, "-c", code, str(out)], capture_output=True, text=True, check=True)
    assert got.stdout == f"cannot write the bundle {out}: File too large; what was there is unchanged\n"
    assert (out / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_figures_of_thousands_of_labels_stay_out_of_the_manifest(classifier, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "LISTED", 2)
    manifest = export.export(classifier, dataset, request(tmp_path / "out", graphs=(bundle.FP32,)), {})
    assert manifest["provenance"]["metrics"]["per_class"] == {}
    assert manifest["provenance"]["data"]["report"]["splits"]["train"]["classes"] == {}
