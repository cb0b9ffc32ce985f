from pathlib import Path

import pytest

from flairstream_training import space
from flairstream_training.errors import InputError
from flairstream_training.hyper_parameters import HyperParameters

FILE = """\
learning_rate = { log_uniform = [1e-5, 1e-3] }
batch_size = [8, 16]
epochs = { uniform = [1, 4] }
dropout = 0
base = ["one"]
"""


def test_a_file_is_read(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(FILE)
    got = space.load(path)
    assert [(p.name, p.draw, p.values) for p in got.searched] == [
        ("learning_rate", "log_uniform", (1e-5, 1e-3)),
        ("batch_size", "choice", (8, 16)),
        ("epochs", "uniform", (1, 4)),
    ]
    assert got.fixed == {"dropout": 0.0, "base": "one"}
    assert space.parse(got.record()) == got


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("learning_rat = 1", "learning_rat cannot be searched; the keys are learning_rate, batch_size"),
        ("seed = [1, 2]", "seed cannot be searched"),
        ("learning_rate = [nan, 1e-4]", "learning_rate: above 0 and below 1; it is nan"),
        ("learning_rate = { uniform = [1e-4, inf] }", "learning_rate: above 0 and below 1; it is inf"),
        ("learning_rate = { uniform = [1e-3, 1e-5] }", "learning_rate: uniform = [0.001, 1e-05]: the first must be"),
        ("learning_rate = { log_uniform = 3 }", "learning_rate: log_uniform wants [low, high]"),
        ("learning_rate = { normal = [0, 1] }", "learning_rate: want one of { uniform = [low, high] } and"),
        ("dropout = { log_uniform = [0, 0.3] }", "dropout: log_uniform must begin above 0"),
        ("batch_size = [8, 16.0]", "batch_size: want a whole number, not 16.0"),
        ("batch_size = [8, 8]", "batch_size: a value stands twice"),
        ("batch_size = []", "batch_size: the list is empty"),
        ("epochs = true", "epochs: want a whole number, not True"),
        ("warmup = [0.1, 2]", "warmup: at least 0 and below 1; it is 2.0"),
        ('pooling = ["mean", "max"]', "pooling: mean or cls; it is max"),
        ("pooling = { uniform = [0, 1] }", "pooling: has no ranges; give a list"),
        ("base = 3", "base: want a word in quotes, not 3"),
        ("base = ['']", "base: want a model folder or hub name"),
        ("epochs = 3", "nothing to search"),
        ("epochs = ", "is not TOML"),
    ],
)
def test_a_fault_names_its_key(tmp_path, content, message):
    path = tmp_path / "space.toml"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        space.load(path)
    assert f"search space {path}" in str(caught.value)
    assert message in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml: No such file"):
        space.load(tmp_path / "none.toml")


def test_fixed_values_take_the_place_of_others():
    fixed = space.parse({"max_tokens": 32, "epochs": [2, 3], "base": "one"})
    assert fixed.overlay(HyperParameters(dropout=0.1)) == HyperParameters(dropout=0.1, max_tokens=32)


def test_the_example_can_be_read():
    example = space.load(Path(__file__).parents[1] / "search.toml")
    assert example.names <= set(space.KEYS)
    assert len(example.searched) > 3
