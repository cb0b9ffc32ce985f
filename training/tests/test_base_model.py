"""What cannot be exported is refused by what stands in a base model's folder, before its weights are read."""

import json
import shutil
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from flairstream_training import base_model, tokenizer
from flairstream_training.errors import InputError


@pytest.fixture
def changed(base, tmp_path):
    """A copy of the base model without weights, its configuration changed."""

    def make(**more) -> str:
        folder = shutil.copytree(base, tmp_path / "changed", ignore=shutil.ignore_patterns("*.safetensors"))
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | more))
        return str(folder)

    return make


def test_a_base_that_can_be_exported_is_let_through(changed):
    assert base_model.check(changed()).encode("the rose").tokens == ["[CLS]", "the", "rose", "[SEP]"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"model_type": "mpnet"},
            'cannot export a model of type "mpnet": .*nearest that works: sentence-transformers/',
        ),
        ({"model_type": "convbert"}, "its layers are not BERT's"),
        ({"hidden_act": "relu"}, 'the activation "relu": only "gelu"'),
        ({"position_embedding_type": "relative_key"}, "position embeddings other than absolute"),
    ],
)
def test_a_base_that_cannot_be_exported_is_refused_by_its_configuration(changed, config, message):
    with pytest.raises(InputError, match=f"^base model .*changed: .*{message}"):
        base_model.check(changed(**config))


def test_a_base_whose_tokenizer_cannot_be_served_is_refused(changed):
    folder = changed()
    path = Path(folder) / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"normalizer": {"type": "NFC"}}))
    with pytest.raises(InputError, match=r"^base model .*changed: the tokenizer's normalizer is NFC: want BertNorm"):
        base_model.check(folder)


def byte_level(use_regex: bool = True, **options) -> Tokenizer:
    made = Tokenizer(models.BPE({"<s>": 0, "</s>": 1, "a": 2}, [], **options))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(use_regex=use_regex)
    made.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    return made


STRIP = normalizers.Strip(left=False)
METASPACE, WORDS = pre_tokenizers.Metaspace(), pre_tokenizers.WhitespaceSplit()


def several_spaces(content: str) -> normalizers.Normalizer:
    return normalizers.Replace(Regex(" {2,}"), content)


def unigram(normalizer=None, before=METASPACE, unknown: int | None = 0) -> Tokenizer:
    made = Tokenizer(models.Unigram([("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("▁a", -1.0)], unknown, False))
    if normalizer is not None:
        made.normalizer = normalizer
    made.pre_tokenizer = before
    made.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 1), ("</s>", 2)])
    return made


@pytest.mark.parametrize(
    "served",
    [
        byte_level(),
        byte_level(continuing_subword_prefix="", end_of_word_suffix=""),
        unigram(),
        unigram(several_spaces("▁")),
        unigram(normalizers.Sequence([STRIP, several_spaces("▁")])),
        unigram(several_spaces(" "), pre_tokenizers.Sequence([WORDS, METASPACE])),
    ],
)
def test_tokenizers_that_workers_have_are_let_through(served):
    tokenizer.check(served)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (byte_level(use_regex=False), "ByteLevel has use_regex false"),
        (byte_level(continuing_subword_prefix="##"), 'BPE has continuing_subword_prefix "##"'),
        (byte_level(end_of_word_suffix="</w>"), 'BPE has end_of_word_suffix "</w>"'),
        (byte_level(dropout=0.1), "BPE has dropout 0.1"),
        (byte_level(fuse_unk=True), "BPE has fuse_unk true"),
        (unigram(before=pre_tokenizers.Metaspace(prepend_scheme="first")), 'Metaspace has prepend_scheme "first"'),
        (unigram(before=pre_tokenizers.Metaspace(prepend_scheme="never")), 'Metaspace has prepend_scheme "never"'),
        (unigram(before=pre_tokenizers.Metaspace(split=False)), "Metaspace has split false"),
        (unigram(before=WORDS), "pre_tokenizer is WhitespaceSplit: want WhitespaceSplit, Metaspace"),
        (unigram(before=pre_tokenizers.Sequence([METASPACE, WORDS])), "pre_tokenizer is Metaspace, WhitespaceSplit"),
        (unigram(normalizers.Strip()), "Strip has strip_left true"),
        (unigram(normalizers.Replace("  ", " ")), "Replace has pattern"),
        (unigram(several_spaces("_")), 'Replace has content "_"'),
        (unigram(normalizers.Sequence([several_spaces(" "), STRIP])), "normalizer is Replace, Strip: want Precompiled"),
        (
            unigram(several_spaces("▁"), pre_tokenizers.Sequence([WORDS, METASPACE])),
            "pre_tokenizer is WhitespaceSplit behind",
        ),
        (unigram(unknown=None), "model has no unk_id"),
    ],
)
def test_tokenizers_that_workers_do_not_have_are_refused(other, message):
    with pytest.raises(InputError, match=f"the tokenizer's {message}.*nearest that works"):
        tokenizer.check(other)
