"""Encoders of every served family, tiny and with random weights: the graph says what Flair says."""

import random

import numpy as np
import pytest
import sentencepiece
import torch
import transformers
from flair.data import Dictionary
from flair.embeddings import (
    DocumentPoolEmbeddings,
    DocumentRNNEmbeddings,
    FlairEmbeddings,
    OneHotEmbeddings,
    StackedEmbeddings,
    TransformerDocumentEmbeddings,
)
from flair.models import LanguageModel, TextClassifier
from tokenizers import ByteLevelBPETokenizer

from flairstream_training import (
    base_model,
    encoder,
    evaluate,
    golden,
    graph,
    preprocessing,
    quantize,
    session,
    tokenizer,
    weights,
)
from flairstream_training.errors import InputError

SIZES = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "initializer_range": 0.2,
}
DISTILLED = {"dim": 48, "n_layers": 2, "n_heads": 4, "hidden_dim": 96, "initializer_range": 0.2}
SPECIAL = {
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
}
TYPED = ("<pad>", "a<pad> b <pad><pad> rose", "<s>water</s> <pad>", "<unk> <mask> [MASK] <pad>the end")
BIT = 1e-6


@pytest.fixture(scope="module")
def vocabularies(tmp_path_factory) -> dict:
    """A byte-level BPE and a Unigram vocabulary of this package's own texts."""
    folder = tmp_path_factory.mktemp("vocabularies")
    texts = [" ".join(text.split()) for text in golden.AWKWARD if text.isprintable() and text.strip()]
    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(texts * 20) + "\n", encoding="utf-8")
    bpe = ByteLevelBPETokenizer(add_prefix_space=True)
    bpe.train([str(corpus)], vocab_size=400, show_progress=False, special_tokens=["<s>", "<pad>", "</s>", "<unk>"])
    bpe.add_special_tokens(["<mask>"])
    bpe.save_model(str(folder))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(folder / "unigram"), vocab_size=300, minloglevel=2, num_threads=1
    )
    unigram = str(folder / "unigram.model")
    return {
        "bpe": transformers.RobertaTokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt")),
        "unigram": transformers.XLMRobertaTokenizerFast(unigram),
        "camembert": transformers.CamembertTokenizerFast(unigram),
    }


@pytest.fixture(scope="module")
def bases(tmp_path_factory, base, vocabularies) -> dict:
    """A folder for each encoder."""
    wordpiece = transformers.AutoTokenizer.from_pretrained(base)
    pieces, unigram = vocabularies["bpe"], vocabularies["unigram"]
    made = {
        "bert": (transformers.BertConfig(**SIZES), wordpiece),
        "bert, Unigram": (transformers.BertConfig(**SIZES), unigram),  # as multilingual MiniLM: its own padding is 0
        "distilbert": (transformers.DistilBertConfig(**DISTILLED), wordpiece),
        "electra": (transformers.ElectraConfig(**SIZES, embedding_size=24), wordpiece),
        "roberta": (transformers.RobertaConfig(**SIZES, **SPECIAL), pieces),
        "xlm-roberta": (transformers.XLMRobertaConfig(**SIZES, **SPECIAL), unigram),
        "camembert": (transformers.CamembertConfig(**SIZES, **SPECIAL), vocabularies["camembert"]),
    }
    folders = {}
    for name, (config, vocabulary) in made.items():
        folders[name] = tmp_path_factory.mktemp("encoder")
        torch.manual_seed(2)
        config.vocab_size = len(vocabulary)
        transformers.AutoModel.from_config(config).save_pretrained(folders[name])
        vocabulary.save_pretrained(folders[name])
    return folders


FAMILIES = ["bert", "bert, Unigram", "distilbert", "electra", "roberta", "xlm-roberta", "camembert"]


def classifier_on(folder, pooling: str = "mean", **more) -> TextClassifier:
    torch.manual_seed(3)
    embeddings = TransformerDocumentEmbeddings(
        str(folder),
        **{
            "layers": "-1",
            "cls_pooling": pooling,
            "transformers_tokenizer_kwargs": {"split_special_tokens": True, "model_max_length": 512},
            **preprocessing.EMBEDDINGS,
            **more,
        },
    )
    return on(embeddings)


def on(embeddings) -> TextClassifier:
    labels = Dictionary(add_unk=False)
    for label in ("garden", "kitchen", "travel"):
        labels.add_item(label)
    return TextClassifier(embeddings, label_type="label", label_dictionary=labels, multi_label=False).eval()


@pytest.fixture(scope="module", params=FAMILIES)
def classifier(request, bases) -> TextClassifier:
    return classifier_on(bases[request.param])


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [*golden.AWKWARD, *TYPED]


@pytest.fixture(scope="module")
def ids(classifier, texts) -> list[list[int]]:
    return evaluate.token_ids(tokenizer.load(tokenizer.serving_json(classifier)), texts, 512)


def test_ids_are_those_that_flair_feeds(classifier, ids, texts):
    prepare = classifier.embeddings.prepare_tensors
    for text, got in zip(texts, ids, strict=True):
        sentence = preprocessing.sentence(text)
        assert got == (prepare([sentence])["input_ids"][0].tolist() if len(sentence) else []), repr(text)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_fp32_graph_says_what_flair_says(classifier, ids, texts, pooling, monkeypatch):
    monkeypatch.setattr(classifier.embeddings, "cls_pooling", pooling)
    content = graph.build(weights.extract(classifier), graph.Float32()).SerializeToString()
    flair = [evaluate.flair_probabilities(classifier, [text])[0] for text in texts]
    assert len({tuple(np.round(p, 3)) for p in flair if p}) > 20  # they differ, so that a mix-up is seen
    assert evaluate.largest_difference(evaluate.graph_probabilities(content, ids), flair) < 1e-5


def test_int8_graph_depends_on_the_text_alone(classifier, ids):
    present, rng = [row for row in ids if row], random.Random(6)
    w = weights.extract(classifier)
    fp32, int8 = graph.build(w, graph.Float32()), quantize.int8(w, present)
    for model in (fp32, int8):
        run = session.open_session(model.SerializeToString())
        alone = session.probabilities(session.logits(run, present))
        for _ in range(12):
            batch = rng.sample(range(len(present)), rng.randint(2, 9))
            feed = session.pad([present[i] for i in batch], rng.randrange(0, 513, 8))
            feed["input_ids"][feed["attention_mask"] == 0] = rng.randrange(len(w.words))  # whatever padding's ids are
            (values,) = run.run(["logits"], feed)
            np.testing.assert_allclose(session.probabilities(values), alone[batch], rtol=0, atol=BIT)
    some, others = (evaluate.graph_probabilities(model.SerializeToString(), ids) for model in (fp32, int8))
    assert 0 < evaluate.largest_difference(some, others) < 0.25


OTHERS = {
    "mpnet": transformers.MPNetConfig(**SIZES),
    "deberta-v2": transformers.DebertaV2Config(**SIZES),
    "modernbert": transformers.ModernBertConfig(**SIZES),
    "albert": transformers.AlbertConfig(**SIZES, embedding_size=24),
    "convbert": transformers.ConvBertConfig(**SIZES),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_encoders_are_refused_with_the_nearest_that_works(kind, base, tmp_path):
    config, vocabulary = OTHERS[kind], transformers.AutoTokenizer.from_pretrained(base)
    config.update({"vocab_size": len(vocabulary), "pad_token_id": 0, "cls_token_id": 101, "sep_token_id": 102})
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path)
    vocabulary.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=rf'of type "{kind}": .*nearest that works: .*(roberta|MiniLM)'):
        encoder.check(classifier_on(tmp_path))


def letters() -> Dictionary:
    found = Dictionary(add_unk=True)
    for letter in "abc":
        found.add_item(letter)
    return found


def words() -> OneHotEmbeddings:
    return OneHotEmbeddings(letters())


def character_model() -> FlairEmbeddings:
    return FlairEmbeddings(LanguageModel(letters(), is_forward_lm=True, hidden_size=8, nlayers=1))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            lambda: DocumentPoolEmbeddings([words()]),
            "DocumentPoolEmbeddings of OneHotEmbeddings: it emb",
        ),
        (
            lambda: DocumentRNNEmbeddings([words()]),
            "DocumentRNNEmbeddings of OneHotEmbeddings: it embeds",
        ),
        (lambda: DocumentPoolEmbeddings([character_model()]), "of FlairEmbeddings: a language model over characters"),
        (
            lambda: DocumentPoolEmbeddings([StackedEmbeddings([words(), character_model()])]),
            "of OneHotEmbeddings, FlairEmbeddings: a language model over characters",
        ),
    ],
)
def test_other_embeddings_are_refused_with_the_nearest_that_works(made, message):
    with pytest.raises(InputError, match=f"{message}.*Nearest that works: TransformerDocumentEmbeddings"):
        encoder.check(on(made()))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"use_context": True}, "use_context"),
        ({"use_context_separator": True}, "use_context"),
        ({"allow_long_sentences": True}, "windows"),
        ({"layers": "all"}, "layers='-1'"),
    ],
)
def test_other_uses_are_refused(more, message, base):
    with pytest.raises(InputError, match=message):
        encoder.check(classifier_on(base, **more))


def test_positions_behind_paddings_are_the_longest(bases):
    lengths = {name: base_model.longest(transformers.AutoConfig.from_pretrained(bases[name])) for name in FAMILIES}
    assert set(lengths.values()) == {512}
    with pytest.raises(InputError, match="513 tokens, with 512 positions"):
        encoder.check(classifier_on(bases["roberta"], transformers_tokenizer_kwargs={"model_max_length": 513}))


def test_another_padding_than_the_models_is_refused_where_positions_depend_on_it(bases, monkeypatch):
    made = classifier_on(bases["roberta"])
    monkeypatch.setattr(made.embeddings.model.config, "pad_token_id", 0)
    with pytest.raises(InputError, match="padding with id 1, where the model has 0"):
        encoder.check(made)


def test_an_encoder_that_no_onnx_file_holds_is_refused(base, monkeypatch):
    monkeypatch.setattr(encoder, "LARGEST", 10**6)
    with pytest.raises(InputError, match=r"an ONNX file holds 0\.0 GB at most.*xlm-roberta-base"):
        encoder.check(classifier_on(base))


def test_words_added_to_a_tokenizer_are_refused(base, tmp_path):
    vocabulary = transformers.AutoTokenizer.from_pretrained(base)
    vocabulary.add_tokens(["flairstream"])
    vocabulary.save_pretrained(tmp_path)
    transformers.AutoModel.from_pretrained(base).save_pretrained(tmp_path)
    with pytest.raises(InputError, match='words added to it, as "flairstream"'):
        tokenizer.serving_json(classifier_on(tmp_path))
