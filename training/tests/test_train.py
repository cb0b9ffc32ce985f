import shutil

import pytest
import torch

from flairstream_training import data, train
from flairstream_training.errors import InputError


@pytest.fixture(scope="module")
def weights(data_folder, base, tmp_path_factory):
    """Trains for one epoch with a seed; gives the decoder's and a table's weights."""
    dataset = data.load(data.split_paths(data_folder, {}), "", "", "")
    train.set_threads(1)

    def run(seed: int) -> torch.Tensor:
        params = train.HyperParameters(epochs=1, seed=seed)
        classifier = train.train(dataset, str(base), params, tmp_path_factory.mktemp("work"))
        return torch.cat([p.detach().flatten() for p in classifier.parameters()])

    return run


def test_same_seed_same_model(weights):
    first = weights(3)
    assert torch.equal(first, weights(3))
    assert not torch.equal(first, weights(4))


def test_label_order_is_that_of_the_data(trained, data_folder):
    labels = trained.classifier.label_dictionary.get_items()
    assert labels == data.load(data.split_paths(data_folder, {}), "", "", "").labels


def test_a_base_model_that_is_none_is_refused(data_folder, tmp_path):
    dataset = data.load(data.split_paths(data_folder, {}), "", "", "")
    (tmp_path / "empty").mkdir()
    for base in (str(tmp_path / "empty"), "no-such-owner/no-such-model"):
        with pytest.raises(InputError, match="want a Hugging Face model folder or a hub name"):
            train.train(dataset, base, train.HyperParameters(), tmp_path / "work")


def test_an_activation_that_is_not_exported_is_refused_before_training(data_folder, base, tmp_path):
    other = shutil.copytree(base, tmp_path / "other")
    config = other / "config.json"
    config.write_text(config.read_text().replace('"gelu"', '"relu"'))
    dataset = data.load(data.split_paths(data_folder, {}), "", "", "")
    with pytest.raises(InputError, match='cannot export this classifier exactly: activation "relu"'):
        train.train(dataset, str(other), train.HyperParameters(), tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_a_file_that_is_no_flair_model_is_refused(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"not a model")
    with pytest.raises(InputError, match="is not a text classifier that Flair saved"):
        train.load(path)
