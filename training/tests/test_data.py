import hashlib
import json
import random

import pytest

from conftest import rows, write_rows
from flairstream_training import data
from flairstream_training.errors import InputError


def load(folder):
    return data.load(data.split_paths(folder, {}), "name", "licence", "citation")


def test_labels_are_sorted_and_rows_are_counted(data_folder):
    dataset = load(data_folder)
    assert dataset.labels == ["garden", "kitchen", "travel"]
    assert dataset.provenance()["rows"] == {"train": 48, "validation": 11, "test": 12, "reference": 1}


def test_digest_changes_with_the_rows(data_folder, tmp_path):
    for split in data.SPLITS:
        write_rows(tmp_path / f"{split}.jsonl", [json.loads(x) for x in (data_folder / f"{split}.jsonl").open()][::-1])
    assert load(tmp_path).digest("test") != load(data_folder).digest("test")


def test_blank_lines_and_other_keys_are_ignored(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"text": "a", "label": "b", "intent": "c"}\r\n\r\n{"text": "d\u2028e", "label": "b"}\n', encoding="utf-8"
    )
    assert [row.text for row in data.read_rows(path).rows] == ["a", "d\u2028e"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no rows"),
        (b'{"text": "a", "label": "x"}\n{"text": ', "line 2: not JSON"),
        (b'["a", "x"]\n', "line 1: want an object"),
        (b'{"label": "x"}\n', 'line 1: "text" must be a string'),
        (b'{"text": "a", "label": 3}\n', 'line 1: "label" must be a string'),
        (b'{"text": " \\t", "label": "x"}\n', 'line 1: "text" is empty'),
        (b'{"text": "\\u200b\\ufeff \\u200c", "label": "x"}\n', 'line 1: "text" is empty'),
        (b'{"text": "a", "label": ""}\n', 'line 1: "label" is empty'),
        (b'{"text": "\xff", "label": "x"}\n', "is not UTF-8"),
        (b'{"text": "\\ud800", "label": "x"}\n', 'line 1: "text" has half of a character'),
        (b'{"text": "a", "labels": "x"}\n', 'line 1: "labels" must be a list of strings'),
        (b'{"text": "a", "labels": [1]}\n', 'line 1: "labels" must be a string'),
        (b'{"text": "a", "labels": [" "]}\n', 'line 1: "labels" is empty'),
        (b"[" * 100_000, "line 1: not JSON: RecursionError"),
        (b'{"text": ' + b"9" * 5000 + b"}", "line 1: not JSON"),
    ],
)
def test_bad_rows_are_refused_by_place(tmp_path, content, message):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        data.read_rows(path)
    assert str(path) in str(caught.value)


def folder_with(tmp_path, **splits):
    for split in data.SPLITS:
        write_rows(tmp_path / f"{split}.jsonl", splits.get(split, rows(("my",))))
    return tmp_path


def test_one_label_is_refused(tmp_path):
    folder = folder_with(tmp_path, train=rows(("my",))[:2])
    with pytest.raises(InputError, match=r'train\.jsonl has one label only \("garden"\)'):
        load(folder)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_unknown_label_is_refused(tmp_path, split):
    folder = folder_with(tmp_path, **{split: [{"text": "a", "label": "new"}]})
    with pytest.raises(InputError, match=rf'{split}\.jsonl: label "new" does not occur in'):
        load(folder)


@pytest.mark.parametrize("label", ["O", "<unk>"])
def test_labels_that_flair_keeps_are_refused(tmp_path, label):
    folder = folder_with(tmp_path, train=[*rows(("my",)), {"text": "a", "label": label}])
    with pytest.raises(InputError, match="Flair keeps the label"):
        load(folder)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"--data: no folder .*nowhere"):
        data.split_paths(tmp_path / "nowhere", {})
    with pytest.raises(
        InputError, match="no train and no test rows: give --data FOLDER, or --train FILE and --test FILE"
    ):
        data.split_paths(None, {})
    with pytest.raises(InputError, match=r"test rows: no file .*other\.jsonl"):
        data.split_paths(None, {"test": tmp_path / "other.jsonl"})
    write_rows(tmp_path / "train.jsonl", rows(("my",)))
    with pytest.raises(InputError, match=r"no test rows: add test\.jsonl \(or \.csv\) to .*, or give --test FILE"):
        data.split_paths(tmp_path, {})


def test_reference_rows_are_kept_aside_from_validation_whatever_their_order(data_folder):
    every = data.read_rows(data_folder / "validation.jsonl").rows
    validation, reference = data.set_aside(every)
    assert sorted(row.text for row in [*validation, *reference]) == sorted(row.text for row in every)
    assert set(data.set_aside(every[::-1])[1]) == set(reference)
    many = data.set_aside([data.Row(f"text {i}", ("a",)) for i in range(5000)])
    assert 900 < len(many[1]) < 1100


def test_rows_with_several_labels(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "labels": ["x", "y", "x"]}\n{"text": "b", "labels": []}\n', encoding="utf-8")
    got = data.read_rows(path)
    assert got.multi_label
    assert got.rows == [data.Row("a", ("x", "y")), data.Row("b", ())]


def test_digest_is_that_of_the_rows_as_json_lines(data_folder):
    dataset = load(data_folder)
    assert hashlib.sha256(dataset.content("test")).hexdigest() == dataset.provenance()["sha256"]["test"]
    assert [json.loads(line)["text"] for line in dataset.content("test").splitlines()] == [
        row.text for row in dataset.test
    ]


@pytest.mark.parametrize("kind", [".jsonl", ".csv"])
def test_whatever_a_file_holds_gives_rows_or_one_line(tmp_path, kind):
    chance = random.Random(7)
    good = {
        ".jsonl": b'{"text": "a\\u00e9 b", "label": "x"}\n{"text": "c", "label": "y"}\n',
        ".csv": b'text,labels\r\n"a, b",x|y\r\nc,\r\n',
    }[kind]
    path = tmp_path / f"rows{kind}"
    outcomes = set()
    for _ in range(600):
        content = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(content))
            content[place : place + chance.randint(0, 3)] = chance.choice(
                [
                    b"",
                    b"\\",
                    b'"',
                    b",",
                    b"\x00",
                    b"\xed\xa0\x80",
                    b"\xff",
                    b"\n",
                    b"\\ud83d",
                    b"[",
                    b"null",
                    chance.randbytes(2),
                ]
            )
        path.write_bytes(bytes(content))
        try:
            rows_of_file = data.read_rows(path).rows
        except InputError as err:
            assert "\n" not in str(err)
            outcomes.add("refused")
        else:
            assert all(row.text.strip() and row.text.encode() for row in rows_of_file)
            outcomes.add("read")
    assert outcomes == {"refused", "read"}


def texts(rows_of_split) -> set[str]:
    return {row.text for row in rows_of_split}


def test_texts_that_count_as_the_same_stay_together():
    """Otherwise the rows that are set aside would be leaks."""
    variants = [f"{form} {i}" for i in range(200) for form in ("one day", "One  Day", "one\u200b day")]
    every = [data.Row(text, ("ab"[i % 2],)) for i, text in enumerate(variants)]
    rest, reference = data.set_aside(every)
    assert reference
    assert not {data.same_text(text) for text in texts(rest)} & {data.same_text(text) for text in texts(reference)}


def test_long_cells_are_read(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(f"text,label\n{'word ' * 50_000},a\n")
    assert len(data.read_rows(path).rows[0].text) == 250_000
