"""The ids that a server feeds are those that Flair feeds; where Flair gives no label there are none."""

import random
import sys

import pytest
from flair.data import Sentence

from flairstream_training import evaluate, golden, preprocessing

NOTHING_LEFT = ["", " ", "      ", "\u200b\u200c\ufeff", " \u2028\u2029 ", "\x81\x8d\x8f\x90", "\ufe0f \u200b"]
ONLY_SPECIAL_TOKENS = ["\n\t", "\r\n\r\n", "\xa0", "\u3000", "\x00", "\ufffd", "\u200d", "\x9b"]
ODD = (
    "\u200b",
    "\ufe0f",
    "\u2028",
    "\x85",
    "\x80",
    "[SEP]",
    "[PAD]",
    "\u0301",
    "'s",
    "n't",
    "5°C",
    " ",
    "\r",
    "\n",
    "-",
)


def flair_ids(classifier, text: str) -> list[int]:
    return classifier.embeddings.prepare_tensors([preprocessing.sentence(text)])["input_ids"][0].tolist()


def random_text(rng: random.Random) -> str:
    def piece() -> str:
        if rng.random() < 0.4:
            return rng.choice(ODD)
        code = rng.choice((rng.randrange(0x20, 0x7F), rng.randrange(0x3000), rng.randrange(sys.maxunicode + 1)))
        return "" if 0xD800 <= code < 0xE000 else chr(code)

    return "".join(piece() for _ in range(rng.randrange(40)))


def test_every_character_is_cleaned_as_flair_cleans_it():
    for code in range(sys.maxunicode + 1):
        assert preprocessing.clean(chr(code)) == Sentence._handle_problem_characters(chr(code)), hex(code)
    rng = random.Random(3)
    for _ in range(2000):
        text = random_text(rng)
        assert preprocessing.clean(text) == Sentence._handle_problem_characters(text), repr(text)


def test_ids_are_those_that_flair_feeds(trained):
    rng, tokenizer = random.Random(7), trained.tokenizer
    texts = [*golden.AWKWARD, *(random_text(rng) for _ in range(2000))]
    for text in texts:
        want = flair_ids(trained.classifier, text) if len(preprocessing.sentence(text)) else []
        assert preprocessing.token_ids(tokenizer, text, 512) == want, repr(text)


def test_long_texts_are_cut_to_max_tokens(trained):
    text = "water " * 600
    for limit in (8, 512):
        ids = preprocessing.token_ids(trained.tokenizer, text, limit)
        assert (len(ids), ids[0], ids[-1]) == (limit, 101, 102)


@pytest.mark.parametrize("text", NOTHING_LEFT, ids=repr)
def test_no_ids_where_flair_gives_no_label(trained, text):
    assert evaluate.flair_probabilities(trained.classifier, [text]) == [None]
    assert preprocessing.token_ids(trained.tokenizer, text, 512) == []


@pytest.mark.parametrize("text", ONLY_SPECIAL_TOKENS, ids=repr)
def test_a_text_without_words_but_not_of_spaces_gets_a_label(trained, text):
    assert evaluate.flair_probabilities(trained.classifier, [text])[0] is not None
    assert preprocessing.token_ids(trained.tokenizer, text, 512)[:1] == [101]
