"""Makes tokenizer.json files of every kind that package model/tokenizer serves, in the shapes that are met.

WordPiece's vocabulary is made of the texts' own words; those of byte-level BPE and Unigram are trained, on thousands of
texts in many scripts. Shapes: byte-level BPE as RoBERTa has it (a space before the text) and as GPT-2 does (none);
Unigram as XLM-RoBERTa's published file has it, and as transformers converts a SentencePiece model today.
"""

import base64
import io
import json
import unicodedata
from collections.abc import Iterable

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

import charsmaps
from cleaning import clean

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # XLM-RoBERTa's first four ids


def specials(first: str, last: str, ids: dict[str, int]) -> dict:
    """Return a post-processor that puts a special token before and after the text."""
    special = {name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in (first, last)}
    single = [{"SpecialToken": {"id": first, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
              {"SpecialToken": {"id": last, "type_id": 0}}]  # fmt: skip
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": last, "type_id": 1}}]
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special}


def whole(parts: dict) -> dict:
    """Return a file of the parts, with what every bundle's file says alike."""
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "decoder": None} | parts


def word_piece(batch: Iterable[str]) -> dict:
    """Return pieces for most characters, so that ids show how a text was normalized, and some longer ones."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##ing", "##able", "un", "##believ"]
    normalizer, splitter = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    for text in batch:
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(clean(text))):
            pieces += [piece for c in word if ord(c) % 13 for piece in (c, "##" + c)]
            if word.isascii() and len(word) < 20:
                pieces += [word[:2], word[:5], "##" + word[-3:]]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    normalizer_file = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": True,
    }
    model = {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": vocabulary,
    }
    post_processor = specials("[CLS]", "[SEP]", vocabulary)
    parts = {"normalizer": normalizer_file, "pre_tokenizer": {"type": "BertPreTokenizer"}, "model": model}
    return whole(parts | {"post_processor": post_processor})


def byte_level(batch: Iterable[str], size: int, prefix_space: bool) -> dict:
    """Return a byte-level BPE of so many pieces, the special ones first."""
    tokenizer = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix=""))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, special_tokens=list(SPECIAL), show_progress=False
    )
    tokenizer.train_from_iterator(map(clean, batch), trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=prefix_space)
    file = json.loads(tokenizer.to_str())
    if not prefix_space:  # as files of old have it
        file["model"]["merges"] = [" ".join(merge) for merge in file["model"]["merges"]]
        file["post_processor"] = specials("<s>", "</s>", file["model"]["vocab"])
    return file | {"added_tokens": []}


def trained_unigram(batch: Iterable[str], size: int, rules: str) -> sentencepiece_model_pb2.ModelProto:
    """Train a SentencePiece model of at most so many pieces, with the named normalization."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([clean(text).replace("\n", " ") for text in batch]),
        model_writer=written,
        model_type="unigram",
        vocab_size=size,
        hard_vocab_limit=False,
        normalization_rule_name=rules,
        num_threads=1,
        minloglevel=2,
    )
    return sentencepiece_model_pb2.ModelProto.FromString(written.getvalue())


def unigram(trained: sentencepiece_model_pb2.ModelProto, charsmap: bytes, converted: bool) -> dict:
    """Return the file of a SentencePiece model, with XLM-RoBERTa's first ids; as converted today, or as published."""
    vocabulary = [[name, 0.0] for name in SPECIAL]
    vocabulary += [[piece.piece, piece.score] for piece in trained.pieces[3:]] + [["<mask>", 0.0]]
    normalizer = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()}
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    pre_tokenizer = metaspace
    if converted:
        replace = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}
        strip = {"type": "Strip", "strip_left": False, "strip_right": True}
        normalizer = {"type": "Sequence", "normalizers": [normalizer, strip, replace]}
    else:
        of_old = {"type": "Metaspace", "replacement": "▁", "str_rep": "▁", "add_prefix_space": True}
        pre_tokenizer = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, of_old]}
    model = {"type": "Unigram", "unk_id": 3, "vocab": vocabulary, "byte_fallback": False}
    post_processor = specials("<s>", "</s>", {name: i for i, name in enumerate(SPECIAL)})
    parts = {"normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "model": model}
    return whole(parts | {"post_processor": post_processor})


def small_charsmap() -> bytes:
    """Return a charsmap like SentencePiece's nmt_nfkc, of fewer rules: NFKC, white space, controls, compositions."""
    rules = {}
    for c in map(chr, (*range(0x3400), *range(0xF900, 0x10000), *range(0x1D400, 0x1D500))):
        if unicodedata.normalize("NFKC", c) != c:
            rules[c] = unicodedata.normalize("NFKC", c)
        elif c.isspace():
            rules[c] = " "
        elif unicodedata.category(c) == "Cc":
            rules[c] = ""
        if 1 < len(decomposed := unicodedata.normalize("NFD", c)) < 4 and c < "\u0250":
            rules[decomposed] = c
    return charsmaps.build(rules)
