import dataclasses
import resource
import shutil
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch
from flair.trainers.plugins import TrainerPlugin

from flairstream_training import data, train
from flairstream_training.data import Dataset, Row
from flairstream_training.errors import InputError
from flairstream_training.hyper_parameters import HyperParameters
from flairstream_training.tracking.plugin import TrackerPlugin

PARAMS = HyperParameters(epochs=3, learning_rate=1e-3, batch_size=8, dropout=0.2, seed=3)


@pytest.fixture(scope="module")
def dataset(data_folder) -> Dataset:
    return data.load(data.split_paths(data_folder, {}), "", "", "")


def numbers(classifier) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in classifier.parameters()])


@pytest.fixture(scope="module")
def whole(dataset, base, tmp_path_factory):
    """A training that nothing disturbed: its folder and its weights."""
    work = tmp_path_factory.mktemp("whole")
    return work, numbers(train.train(dataset, str(base), PARAMS, work))


def test_same_seed_same_model(whole, dataset, base, tmp_path):
    assert torch.equal(whole[1], numbers(train.train(dataset, str(base), PARAMS, tmp_path / "same")))
    other = dataclasses.replace(PARAMS, seed=4)
    assert not torch.equal(whole[1], numbers(train.train(dataset, str(base), other, tmp_path / "other")))


class StandStill(TrainerPlugin):
    """Says so in the middle of the second epoch, and waits there."""

    def __init__(self, said: Connection) -> None:
        super().__init__()
        self._said = said

    @TrainerPlugin.hook
    def after_training_batch(self, epoch, batch_no, **_):
        if (epoch, batch_no) == (2, 3):
            self._said.send("standing")
            signal.pause()


def train_and_stand_still(said: Connection, dataset: Dataset, base: str, work: Path) -> None:
    train.train(dataset, base, PARAMS, work, [StandStill(said)])


def test_a_training_that_was_killed_goes_on_as_if_it_had_not_been(whole, dataset, base, tmp_path, capfd, forks):
    standing, said = forks.Pipe(duplex=False)
    process = forks.Process(target=train_and_stand_still, args=(said, dataset, str(base), tmp_path / "work"))
    process.start()
    said.close()
    assert standing.recv() == "standing"
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL

    again = numbers(train.train(dataset, str(base), PARAMS, tmp_path / "work"))
    assert "going on after epoch 1 of 3" in capfd.readouterr().err
    assert torch.equal(whole[1], again)
    assert losses(tmp_path / "work") == losses(whole[0])
    assert [path.name for path in (tmp_path / "work" / "checkpoint").iterdir()] == ["request.json"]


def losses(work) -> list[list[str]]:
    """loss.tsv without its clock times."""
    lines = [line.split("\t") for line in (work / "loss.tsv").read_text().splitlines()]
    return [line[:1] + line[2:] for line in lines]


def test_losses_of_every_epoch_are_kept(whole):
    assert [line[0] for line in losses(whole[0])] == ["EPOCH", "1", "2", "3"]


def test_a_training_that_is_done_is_not_repeated(whole, dataset, base):
    work, weights = whole
    before = (work / train.FINAL).stat().st_mtime_ns, train.recorded(work)["ended"]
    assert torch.equal(weights, numbers(train.train(dataset, str(base), PARAMS, work)))
    assert before == ((work / train.FINAL).stat().st_mtime_ns, train.recorded(work)["ended"])


def test_another_training_is_refused_in_the_same_folder(whole, dataset, base):
    other = dataclasses.replace(PARAMS, learning_rate=2e-3)
    with pytest.raises(InputError, match=r"another learning_rate \(0.001, now 0.002\).*another --work"):
        train.train(dataset, str(base), other, whole[0])
    fewer = dataclasses.replace(dataset, train=dataset.train[:-1])
    with pytest.raises(InputError, match="another train rows"):
        train.train(fewer, str(base), PARAMS, whole[0])


def test_a_checkpoint_that_cannot_be_read_is_named(dataset, base, tmp_path):
    with pytest.raises(InputError):  # begins the folder
        train.train(dataset, str(base), dataclasses.replace(PARAMS, learning_rate=0.99), tmp_path, [Poison()])
    (tmp_path / "checkpoint" / "last.pt").write_bytes(b"half a checkpoint")
    with pytest.raises(InputError, match=r"cannot read .*last\.pt .*: remove it to start this training anew"):
        train.train(dataset, str(base), dataclasses.replace(PARAMS, learning_rate=0.99), tmp_path)


class Poison(TrainerPlugin):
    """Makes a weight infinite before the second step."""

    @TrainerPlugin.hook
    def before_training_batch(self, batch_no: int, **_) -> None:
        if batch_no == 1:
            next(self.model.parameters()).data.fill_(float("inf"))


def test_a_loss_that_is_no_number_ends_it(dataset, base, tmp_path):
    with pytest.raises(InputError, match="in epoch 1: the loss is nan at step 2; lower the learning rate") as caught:
        train.train(dataset, str(base), PARAMS, tmp_path, [Poison()])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / train.FINAL).exists()
    assert train.recorded(tmp_path) == {}
    lower = dataclasses.replace(PARAMS, epochs=1, learning_rate=1e-4)  # no epoch was whole: nothing is lost
    assert train.train(dataset, str(base), lower, tmp_path)


class Rise(TrainerPlugin):
    """Gives a model that knows its task at the end of the second epoch, and one that knows nothing in the others."""

    def __init__(self, good: dict) -> None:
        super().__init__()
        self._good = good

    @TrainerPlugin.hook
    def after_training_epoch(self, epoch: int, **_) -> None:
        self.model.load_state_dict(self._good)
        if epoch != 2:
            torch.nn.init.zeros_(self.model.decoder.weight)


def test_early_stopping_keeps_the_best_epoch(trained, dataset, base, tmp_path):
    params = dataclasses.replace(PARAMS, epochs=9, patience=2)
    classifier = train.train(dataset, str(base), params, tmp_path, [Rise(trained.classifier.state_dict())])
    assert [line[0] for line in losses(tmp_path)] == ["EPOCH", "1", "2", "3", "4"]
    assert torch.equal(numbers(classifier), numbers(trained.classifier))
    assert torch.equal(numbers(train.load(tmp_path / train.FINAL)), numbers(trained.classifier))


def test_ctrl_c_ends_it_without_a_model(dataset, base, tmp_path):
    class Press(TrainerPlugin):
        @TrainerPlugin.hook
        def after_training_batch(self, **_) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train.train(dataset, str(base), PARAMS, tmp_path, [Press()])
    assert not (tmp_path / train.FINAL).exists()


def test_a_full_gpu_is_said_in_one_line(dataset, base, tmp_path):
    class Full(TrainerPlugin):
        @TrainerPlugin.hook
        def after_training_batch(self, **_) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate ...\nof which ...")

    with pytest.raises(InputError, match="the GPU has no memory left: lower the batch size"):
        train.train(dataset, str(base), PARAMS, tmp_path, [Full()])


def test_a_full_disk_is_said_in_one_line_and_nothing_half_written_is_left(dataset, base, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(InputError, match=r"cannot write .*last\.pt: .*make room") as caught:
            train.train(dataset, str(base), PARAMS, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert "\n" not in str(caught.value)
    assert [path.name for path in (tmp_path / "checkpoint").iterdir()] == ["request.json"]


def test_balanced_weights_make_labels_count_alike():
    rows = [Row(str(i), ("often",)) for i in range(6)] + [Row("x", ("seldom",)), Row("y", ("seldom",))]
    weights = train.class_weights(Dataset(rows, [], []))
    assert weights == {"often": 8 / 12, "seldom": 2.0}


def test_class_weights_reach_the_loss(dataset, base, tmp_path):
    uneven = dataclasses.replace(dataset, train=dataset.train[10:])
    params = dataclasses.replace(PARAMS, epochs=1, class_weights="balanced")
    classifier = train.train(uneven, str(base), params, tmp_path)
    expected = list(train.class_weights(uneven).values())
    assert classifier.loss_function.weight.tolist() == pytest.approx(expected)


class Tracked:
    """Remembers the names of what is measured."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def metrics(self, values, _step: int) -> None:
        self.names.update(values)


def test_rows_with_several_labels_are_learnt(base, tmp_path, capsys):
    """Flair's accuracy is not told: rows that rightly get no label do not count in it."""
    texts = {"a": ("rose",), "b": ("bread",), "a b": ("rose", "bread"), "": ("stone",)}
    rows = [Row(f"{' '.join(words)} {i}", tuple(labels.split())) for labels, words in texts.items() for i in range(12)]
    dataset = Dataset(rows, rows[::3], [], multi_label=True)
    params = HyperParameters(epochs=12, learning_rate=3e-3, batch_size=8)
    tracked = Tracked()
    classifier = train.train(dataset, str(base), params, tmp_path, [TrackerPlugin(tracked)])
    told = f"{sorted(tracked.names)} {capsys.readouterr().err} {(tmp_path / 'loss.tsv').read_text()}"
    assert "macro_f1" in told
    assert "accuracy" not in told.lower()
    sentences = train.sentences([Row("rose bread 3", ()), Row("stone 3", ())])
    classifier.predict(sentences.datapoints)
    assert [sorted(label.value for label in sentence.labels) for sentence in sentences.datapoints] == [["a", "b"], []]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("warmup", 1.0),
        ("dropout", 1.0),
        ("pooling", "max"),
        ("max_tokens", 2),
        ("patience", -1),
        ("class_weights", "inverse"),
        ("seed", -1),
        ("seed", 2**32),
        ("threads", 0),
    ],
)
def test_hyper_parameters_that_cannot_be_are_refused(name, value):
    with pytest.raises(InputError, match=f"^{name}: .*; it is"):
        HyperParameters(**{name: value})


def test_label_order_is_that_of_the_data(trained, data_folder):
    labels = trained.classifier.label_dictionary.get_items()
    assert labels == data.load(data.split_paths(data_folder, {}), "", "", "").labels


def test_a_base_model_that_is_none_is_refused(data_folder, tmp_path):
    dataset = data.load(data.split_paths(data_folder, {}), "", "", "")
    (tmp_path / "empty").mkdir()
    for base in (str(tmp_path / "empty"), "no-such-owner/no-such-model"):
        with pytest.raises(InputError, match="want a Hugging Face model folder or a hub name"):
            train.train(dataset, base, HyperParameters(), tmp_path / "work")


def test_an_activation_that_is_not_exported_is_refused_before_training(data_folder, base, tmp_path):
    other = shutil.copytree(base, tmp_path / "other")
    config = other / "config.json"
    config.write_text(config.read_text().replace('"gelu"', '"relu"'))
    dataset = data.load(data.split_paths(data_folder, {}), "", "", "")
    with pytest.raises(InputError, match='cannot export a model with the activation "relu": only "gelu"'):
        train.train(dataset, str(other), HyperParameters(), tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_a_file_that_is_no_flair_model_is_refused(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"not a model")
    with pytest.raises(InputError, match="is not a text classifier that Flair saved"):
        train.load(path)
