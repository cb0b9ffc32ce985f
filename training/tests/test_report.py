import json

import pytest

from flairstream_training import base_model, cli, report
from flairstream_training.data import Dataset, Row
from flairstream_training.errors import InputError


def rows(*pairs: tuple[str, str]) -> list[Row]:
    return [Row(text, tuple(label.split()), number) for number, (text, label) in enumerate(pairs, 1)]


CLEAN = Dataset(
    train=rows(("one fine day", "a"), ("another day", "b"), ("a third", "a")),
    validation=rows(("v one", "a"), ("v two", "b")),
    test=rows(("t one", "a"), ("t two", "b")),
    reference=rows(("r one", "a")),
    name="days",
)


@pytest.fixture(scope="module")
def made(base):
    return lambda dataset, max_tokens=16: report.make(dataset, base_model.tokenizer(str(base)), max_tokens)


def replaced(**splits) -> Dataset:
    return Dataset(**({split: getattr(CLEAN, split) for split in report.SPLITS} | splits), name="days")


def test_clean_rows_have_no_faults(made):
    got = made(CLEAN)
    got.check()
    assert got.faults() == {}
    assert got.splits["train"].classes == {"a": 2, "b": 1}
    assert "the largest label has 2.0 times the rows of the smallest, in train" in got.text()
    assert "no text stands in two splits" in got.text()


def test_lengths_are_tokens_with_the_special_ones_before_the_cut(made):
    dataset = replaced(train=rows(("day " * 30, "a"), ("day", "b"), ("day day", "b")))
    got = made(dataset).splits["train"]
    assert got.lengths == (32, 3, 4)
    assert got.truncated == 1
    assert report.percentiles(got.lengths) == [4, 32, 32, 32]


@pytest.mark.parametrize("text", ["t one", "T  ONE ", "t\u200b one", " t\tone"])
def test_a_text_in_train_and_test_stops_the_run(made, text):
    got = made(replaced(train=[*CLEAN.train, Row(text, ("a",), 4)]))
    assert [repeat.places for repeat in got.leaks] == [(("train", 4), ("test", 1))]
    with pytest.raises(InputError, match=r"1 held-out text also in .*train 4 = test 1.*--allow leaks$"):
        got.check()
    got.check(["leaks"])


@pytest.mark.parametrize(("split", "text"), [("validation", "t two"), ("train", "r one")])
def test_other_leaks_stop_it_too(made, split, text):
    got = made(replaced(**{split: [*getattr(CLEAN, split), Row(text, ("b",), 9)]}))
    assert list(got.faults()) == ["leaks"]


def test_a_text_in_train_and_validation_is_told_and_does_not_stop_it(made):
    got = made(replaced(train=[*CLEAN.train, Row("v one", ("a",), 4)]))
    assert got.faults() == {}
    assert "texts both in train and validation: 1" in got.text()


def test_duplicates_and_contradictions_are_counted(made):
    more = rows(("one", "a"), ("One", "a"), ("ONE", "b"), ("two", "b"), ("two", "b"))
    got = made(replaced(train=more))
    assert got.duplicates("train") == 3
    assert [repeat.places for repeat in got.conflicts] == [(("train", 1), ("train", 2), ("train", 3))]
    assert "texts with different labels: 1 (train 1 = train 2 = train 3)" in got.text()


def test_a_label_without_held_out_rows_stops_the_run(made):
    got = made(replaced(test=CLEAN.test[:1]))
    with pytest.raises(InputError, match=r'1 label without a row \("b" in test\).*--allow empty-classes$'):
        got.check(["leaks"])


def test_all_faults_are_told_at_once(made):
    got = made(replaced(test=[Row("one fine day", ("a",), 1)]))
    with pytest.raises(InputError, match=r"held-out text.*without a row.*--allow leaks,empty-classes"):
        got.check()


def test_rows_without_a_label_are_counted_where_there_may_be_several(made):
    dataset = Dataset(*(rows(("x y", "a b"), ("y", ""), ("z", "b")) for _ in range(3)), multi_label=True)
    got = made(dataset)
    assert got.splits["train"].classes == {"a": 1, "b": 2}
    assert "train: 1 rows without a label" in got.text()


def test_neither_form_holds_a_text(made):
    got = made(replaced(train=[*CLEAN.train, Row("t one", ("b",), 4)]))
    both = got.text() + json.dumps(got.record())
    assert not [row.text for split in report.SPLITS for row in getattr(CLEAN, split) if row.text in both]
    assert got.record()["leaks"] == [(("train", 4), ("test", 1))]


def test_the_command_prints_it(data_folder, base, capsys):
    arguments = ["report", "--data", str(data_folder), "--base", str(base), "--max-tokens", "8"]
    assert cli.main(arguments) == 0
    assert "over 8" in capsys.readouterr().out
    assert cli.main([*arguments, "--json"]) == 0
    got = json.loads(capsys.readouterr().out)
    assert got["splits"]["train"]["rows"] == 48
    assert got["splits"]["train"]["truncated"] > 0


def test_the_command_ends_as_train_would(data_folder, base, tmp_path, capsys):
    text = (data_folder / "train.jsonl").read_text().splitlines(keepends=True)[0]
    leaky = tmp_path / "test.jsonl"
    leaky.write_text((data_folder / "test.jsonl").read_text() + text)
    arguments = ["report", "--data", str(data_folder), "--test", str(leaky), "--base", str(base)]
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert "FAULT leaks: 1 held-out text also in" in out
    assert "(train 1 = test 13)" in err
    assert cli.main([*arguments, "--allow", "leaks"]) == 0
