import json
import os
from pathlib import Path

import pytest

from conftest import rows, write_rows
from flairstream_training import data
from flairstream_training.data import clinc, hub
from flairstream_training.data.rows import Found, complete
from flairstream_training.errors import InputError


def by_label(dataset_rows) -> set[tuple[str, tuple[str, ...]]]:
    return {(row.text, row.labels) for row in dataset_rows}


# --- CSV


def test_a_folder_may_hold_csv(tmp_path):
    for split in data.SPLITS:
        (tmp_path / f"{split}.csv").write_text(f'text,label,note\n"{split}, with a comma",a,x\n"two\nlines",b,\n')
    dataset = data.open(str(tmp_path))
    assert by_label(dataset.test) == {("test, with a comma", ("a",)), ("two\nlines", ("b",))}
    assert [row.number for row in dataset.train] == [2, 4]


def test_csv_with_several_labels(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('\ufefftext,labels\none,a| b\ntwo,\nthree,"c,d|a|a"\n', encoding="utf-8")
    assert [row.labels for row in data.read_rows(path).rows] == [("a", "b"), (), ("c,d", "a")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: want a header"),
        ("text,topic\na,b\n", "line 1: want a header"),
        ("text,label,labels\na,b,c\n", "line 1: want a header"),
        ("text,label\na,b\na\n", "line 3: not as many cells"),
        ("text,label\na,b,c\n", "line 2: not as many cells"),
        ('text,label\na,b\n"open,b\n', "after line 2: not CSV"),
        ("text,label\n ,b\n", 'line 2: "text" is empty'),
        ("text,label\n", "has no rows"),
    ],
)
def test_bad_csv_is_refused_by_place(tmp_path, content, message):
    path = tmp_path / "rows.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        data.read_rows(path)
    assert str(path) in str(caught.value)


def test_two_files_for_a_split_are_refused(tmp_path):
    write_rows(tmp_path / "train.jsonl", rows(("my",)))
    (tmp_path / "train.csv").write_text("text,label\na,b\n")
    with pytest.raises(InputError, match="which are the train rows"):
        data.open(str(tmp_path))


def test_label_and_labels_are_not_mixed(tmp_path):
    for split in data.SPLITS:
        write_rows(tmp_path / f"{split}.jsonl", rows(("my",)))
    write_rows(tmp_path / "test.jsonl", [{"text": "a", "labels": ["garden"]}])
    with pytest.raises(InputError, match=r'test\.jsonl.*train\.jsonl: one has "label", the other "labels"'):
        data.open(str(tmp_path))


# --- splits that are missing


def test_a_missing_validation_split_is_a_tenth_of_train_always_the_same(tmp_path):
    every = [{"text": f"{label} {i}", "label": label} for label in "ab" for i in range(200)]
    write_rows(tmp_path / "train.jsonl", every)
    write_rows(tmp_path / "test.jsonl", [{"text": "x", "label": "a"}, {"text": "y", "label": "b"}])
    dataset = data.open(str(tmp_path))
    held = [*dataset.validation, *dataset.reference]
    assert 20 <= len(held) <= 60
    assert len(dataset.train) + len(held) == 400
    assert not by_label(dataset.train) & by_label(held)
    assert list(dataset.notes) == dataset.provenance()["notes"]
    assert "validation: none given" in dataset.notes[0]
    write_rows(tmp_path / "train.jsonl", every[::-1])
    assert by_label(data.open(str(tmp_path)).validation) == by_label(dataset.validation)


def test_a_text_that_stands_twice_is_not_divided():
    twice = [data.Row(f"text {i % 100}", ("ab"[i % 2],)) for i in range(200)]
    dataset = complete(Found({"train": twice}, {"train": "here"}))
    splits = [{row.text for row in getattr(dataset, split)} for split in ("train", "validation", "test")]
    assert not splits[0] & splits[1]
    assert not splits[0] & splits[2]
    assert not splits[1] & splits[2]


def test_too_few_rows_to_divide_are_refused():
    few = [data.Row("a", ("x",)), data.Row("b", ("y",))]
    with pytest.raises(InputError, match="here: too few rows to take a tenth for validation: add validation rows"):
        complete(Found({"train": few, "test": few}, {"train": "here"}))


def test_train_keeps_a_row_of_each_label():
    every = [data.Row(f"only {i}", (f"label {i}",)) for i in range(300)] + [
        data.Row(f"b {i}", ("b",)) for i in range(300)
    ]
    dataset = complete(Found({"train": every}, {"train": "here"}))
    assert len(dataset.labels) == 301
    assert {row.label for row in dataset.test} == {"b"}


def test_a_label_keeps_a_row_in_validation():
    for i in range(50):
        assert data.set_aside([data.Row(f"only {i}", ("rare",))])[1] == []


# --- Flair's datasets


@pytest.fixture
def trec(tmp_path, monkeypatch) -> None:
    """The two files of TREC_6 where Flair would have put them, and no way to the network."""
    import flair

    monkeypatch.setattr(flair, "cache_root", tmp_path)
    folder = tmp_path / "datasets" / "trec_6" / "original"
    folder.mkdir(parents=True)
    train = [f"NUM:dist How far is it to place {i} ?" for i in range(40)]
    train += [f"HUM:ind Who was caf\xe9 owner {i} ?" for i in range(40)]
    (folder / "train_5500.label").write_bytes("\n".join(train).encode("latin1"))
    (folder / "TREC_10.label").write_text("NUM:date When was it ?\nHUM:ind Who was it ?\n")


@pytest.mark.usefixtures("trec")
def test_a_dataset_of_flair_by_name():
    dataset = data.open("flair:TREC_6")
    assert dataset.labels == ["HUM", "NUM"]
    assert by_label(dataset.test) == {("When was it ?", ("NUM",)), ("Who was it ?", ("HUM",))}
    assert any("caf\xe9" in row.text for row in dataset.train)
    assert (dataset.name, dataset.multi_label) == ("TREC_6", False)
    assert "validation: none given" in dataset.notes[0]


@pytest.mark.usefixtures("trec")
def test_a_dataset_that_flair_does_not_know():
    with pytest.raises(InputError, match=r"flair:TREC6: no such dataset in Flair; near it: TREC_\d"):
        data.open("flair:TREC6")


def test_a_dataset_of_flair_that_cannot_be_fetched(tmp_path, monkeypatch):
    import flair
    import requests

    def no_network(*_, **__):
        raise requests.ConnectionError("no route to host")

    monkeypatch.setattr(flair, "cache_root", tmp_path)
    monkeypatch.setattr(requests, "head", no_network)
    monkeypatch.setattr(requests, "get", no_network)
    with pytest.raises(InputError, match="flair:TREC_6: Flair cannot open it: no route to host"):
        data.open("flair:TREC_6")


# --- Hugging Face datasets


def saved(folder: Path, splits: dict, **features) -> str:
    datasets = pytest.importorskip("datasets")
    known = datasets.Features(features)
    tables = {split: datasets.Dataset.from_dict(columns, features=known) for split, columns in splits.items()}
    datasets.DatasetDict(tables).save_to_disk(str(folder))
    return f"hf:{folder}"


def test_class_names_and_splits_of_a_hugging_face_dataset(tmp_path):
    import datasets

    label = datasets.ClassLabel(names=["bad", "good"])
    columns = {"content": ["fine", " \u200b", "poor", "so so"], "topic": [1, 0, 0, -1]}
    test = {"content": ["great", "awful"], "topic": [1, 0]}
    source = saved(
        tmp_path / "reviews",
        {"train": columns, "dev": test, "test": test, "unsupervised": test},
        content=datasets.Value("string"),
        topic=label,
    )
    dataset = data.open(source)
    assert by_label(dataset.train) == {("fine", ("good",)), ("poor", ("bad",))}
    assert by_label(dataset.test) == {("great", ("good",)), ("awful", ("bad",))}
    assert dataset.notes == ("train: 2 rows without a text or without a known label were left out",)
    assert dataset.name == "reviews"


def test_several_labels_of_a_hugging_face_dataset(tmp_path):
    import datasets

    columns = {"text": ["a", "b", "c"], "labels": [[0, 1], [], [1]]}
    kinds = {"text": datasets.Value("string"), "labels": datasets.List(datasets.ClassLabel(names=["joy", "fear"]))}
    dataset = data.open(saved(tmp_path / "feelings", dict.fromkeys(data.SPLITS, columns), **kinds))
    assert dataset.multi_label
    assert by_label(dataset.train) == {("a", ("joy", "fear")), ("b", ()), ("c", ("fear",))}


def test_a_folder_with_files_in_hugging_face_style(tmp_path, monkeypatch, tmp_path_factory):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    for split in ("train", "test"):
        write_rows(tmp_path / f"{split}.jsonl", [{"query": f"{split} {i}", "intent": "xy"[i % 2]} for i in range(60)])
    dataset = data.open(f"hf:{tmp_path}")
    assert dataset.labels == ["x", "y"]
    assert len(dataset.test) == 60
    assert "validation: none given" in dataset.notes[0]


def test_hidden_labels_are_no_split(tmp_path):
    import datasets

    label = datasets.ClassLabel(names=["no", "yes"])
    train = {"sentence": [f"{i}" for i in range(100)], "label": [i % 2 for i in range(100)]}
    hidden = {"sentence": ["x", "y"], "label": [-1, -1]}
    source = saved(tmp_path, {"train": train, "test": hidden}, sentence=datasets.Value("string"), label=label)
    assert any("test: none given" in note for note in data.open(source).notes)


def test_columns_that_could_be_either_are_asked_for(tmp_path):
    import datasets

    kinds = {name: datasets.ClassLabel(names=["a", "b"]) for name in ("coarse", "fine")}
    columns = {"text": ["a"], "coarse": [0], "fine": [1]}
    source = saved(tmp_path, {"train": columns}, text=datasets.Value("string"), **kinds)
    with pytest.raises(InputError, match=r'which column holds the labels.*text, coarse, fine: rename one to "label"'):
        data.open(source)


def test_a_text_that_is_no_string_is_asked_for(tmp_path):
    import datasets

    columns = {"text": [[1, 2]], "pages": [1], "label": [0]}
    kinds = {"text": datasets.List(datasets.Value("int32")), "pages": datasets.Value("int32")}
    source = saved(tmp_path, {"train": columns}, **kinds, label=datasets.ClassLabel(names=["a", "b"]))
    with pytest.raises(InputError, match=r'which column holds the texts.*text, pages, label: rename one to "text"'):
        data.open(source)


def test_a_dataset_that_the_hub_does_not_give():
    pytest.importorskip("datasets")
    with pytest.raises(InputError, match="hf:no-such-owner/none: cannot be had from the hub or as a folder") as caught:
        data.open("hf:no-such-owner/none")
    assert "\n" not in str(caught.value)


def test_datasets_is_asked_for_by_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(InputError, match=r"install flairstream-training\[hub\]"):
        hub.find("ag_news")


# --- CLINC150

DOMAINS = {"banking": ["transfer", "balance"], "travel": ["flight"]}


def content() -> dict:
    texts = {intent: [[f"{intent} {i}", intent] for i in range(6)] for names in DOMAINS.values() for intent in names}
    every = [row for rows_of_intent in texts.values() for row in rows_of_intent]
    return {"train": every[::2], "val": every[1::4], "test": every[3::4], "oos_train": [["what", "oos"]]}


@pytest.fixture
def home(httpserver) -> clinc.Home:
    httpserver.expect_ordered_request("/data/domains.json").respond_with_json(DOMAINS)
    httpserver.expect_ordered_request("/data/data_full.json").respond_with_json(content())
    domain_of = {intent: domain for domain, intents in DOMAINS.items() for intent in intents}
    return clinc.Home(httpserver.url_for("/data"), clinc.digest(content(), domain_of))


def test_clinc150_comes_from_its_home_once(home, httpserver, tmp_path):
    dataset = complete(clinc.find("domains", home, tmp_path))
    assert dataset.labels == ["banking", "travel"]
    assert ("balance 0", ("banking",)) in by_label(dataset.train)
    assert dataset.name == "CLINC150 by domain"
    assert "Attribution 3.0" in dataset.licence
    assert complete(clinc.find("intents", home, tmp_path)).labels == ["balance", "flight", "transfer"]
    assert len(httpserver.log) == 2


def test_another_clinc150_is_refused(home, tmp_path):
    with pytest.raises(InputError, match="does not hold CLINC150 as it was: remove it"):
        clinc.find("domains", clinc.Home(home.url, "0" * 64), tmp_path)


def test_a_home_that_fails_leaves_nothing_behind(httpserver, tmp_path):
    httpserver.expect_request("/domains.json").respond_with_data("", status=503)
    with pytest.raises(
        InputError, match=r"cannot fetch http.*/domains\.json: HTTP 503; without it, give a folder"
    ) as caught:
        clinc.find("domains", clinc.Home(httpserver.url_for(""), ""), tmp_path)
    assert caught.value.code == 1
    assert not list(tmp_path.iterdir())


def test_only_two_ways_to_label_clinc150():
    with pytest.raises(InputError, match="want clinc150, clinc150:domains or clinc150:intents"):
        data.open("clinc150:words")


@pytest.mark.skipif("CLINC150_DIR" not in os.environ, reason="needs the data set: set CLINC150_DIR")
def test_the_pinned_digest_is_that_of_the_data_set(httpserver, tmp_path):
    splits = {theirs: [] for theirs in ("train", "val", "test")}
    domains = {}
    for ours, theirs in zip(data.SPLITS, splits, strict=True):
        for line in (Path(os.environ["CLINC150_DIR"]) / f"{ours}.jsonl").open(encoding="utf-8"):
            row = json.loads(line)
            splits[theirs].append([row["text"], row["intent"]])
            domains.setdefault(row["label"], {})[row["intent"]] = None
    httpserver.expect_request("/domains.json").respond_with_json(
        {name: list(intents) for name, intents in domains.items()}
    )
    httpserver.expect_request("/data_full.json").respond_with_json(splits)
    found = clinc.find("intents", clinc.Home(httpserver.url_for(""), clinc.HOME.sha256), tmp_path)
    assert [len(rows_of_split) for rows_of_split in found.splits.values()] == [15000, 3000, 4500]


def test_files_do_not_go_with_a_source_of_splits(tmp_path):
    with pytest.raises(InputError, match="brings its own splits"):
        data.open("clinc150", {"test": tmp_path / "test.jsonl"})
