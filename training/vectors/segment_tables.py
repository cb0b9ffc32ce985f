"""Writes the tables by which package model/tokenizer cuts texts, as tokenizers of requirements.txt has them.

Nothing is taken from a Unicode database: the library is asked about every code point. What it takes for letters,
numbers and white space in regular expressions is asked by splitting. What it takes for grapheme clusters (Unicode
Standard Annex 29, https://www.unicode.org/reports/tr29/) shows in the normalizer Precompiled alone: of a cluster of
fewer than six bytes it replaces the start that its charsmap has and drops the rest, so a rule for one character tells
where its cluster ended.

    python segment_tables.py                    # from any folder; takes a minute
"""

import base64
import hashlib
import json
import sys
from collections.abc import Callable, Iterable

from tokenizers import Regex, __version__, normalizers, pre_tokenizers

import charsmaps
from unicode_tables import BLOCK, CODE_POINTS, GO_PACKAGE, HANGUL, go_spans, where

ACUTE, CIRCUMFLEX, JOINER, NON_JOINER = "\u0301", "\u0302", "\u200d", "\u200c"
COPYRIGHT, REGISTERED = "©", "®"  # pictographs of two bytes
KA, VIRAMA, SSA = "\u0915", "\u094d", "\u0937"  # Devanagari: two consonants and the linker
LEAD, VOWEL, TAIL = "\u1100", "\u1161", "\u11a8"

# What every code point is put into, at the star, to see what becomes of it.
WORDS = ["a*1*!* *a\n"]
CLUSTERS = [
    "a*\n",
    f"*a{ACUTE}\n",
    f"*{ACUTE}{CIRCUMFLEX}\n",
    f"{COPYRIGHT}{JOINER}*{ACUTE}\n",
    f"{COPYRIGHT}*{JOINER}{REGISTERED}{ACUTE}\n",
    f"{KA}{VIRAMA}*{VIRAMA}{SSA}{ACUTE}\n",
    f"{KA}*{VIRAMA}*{SSA}{ACUTE}\n",
    f"{KA}*{SSA}{ACUTE}\n",
    f"*{LEAD}{ACUTE}\n",
    f"*{VOWEL}{ACUTE}\n",
    f"*{TAIL}{ACUTE}\n",
    f"{LEAD}*{TAIL}{ACUTE}\n",
    f"{VOWEL}*{VOWEL}{ACUTE}\n",
]


def matching(pattern: str) -> list[int]:
    """Return the code points that the regular expression matches."""
    split = pre_tokenizers.Split(Regex(pattern), "removed").pre_tokenize_str
    return where(lambda c: not split(c))


def replacing(characters: Iterable[str]) -> Callable[[str], str]:
    """Return the normalizer that replaces each of the characters by a y."""
    return normalizers.Precompiled(charsmaps.build(dict.fromkeys(characters, "y"))).normalize_str


def whole(normalize: Callable[[str], str], before: str = "", after: str = "") -> set[int]:
    """Return the code points that do not let the acute at the end be dropped: its cluster was longer than two."""
    return set(where(lambda c: normalize(before + c + after + ACUTE).endswith(ACUTE)))


def clusters() -> dict[str, tuple[str, set[int]]]:
    """Return a comment and the code points of every class that decides where a cluster ends."""
    a, acute = replacing("a"), replacing(ACUTE)
    following = set(where(lambda c: a("a" + c) == "y"))
    prepended = whole(a, after="a")
    ending = set(where(lambda c: not acute(c + ACUTE + CIRCUMFLEX).endswith(CIRCUMFLEX)))
    joined = replacing(COPYRIGHT)
    pictographs = set(where(lambda c: JOINER in joined(COPYRIGHT + JOINER + c))) - following
    extending = following & whole(replacing(REGISTERED), COPYRIGHT, JOINER + REGISTERED)
    before_lead, before_vowel, before_tail = (whole(replacing(c), after=c) - prepended for c in (LEAD, VOWEL, TAIL))
    three_bytes = [chr(c) for c in CODE_POINTS if 0x800 <= c < 0x10000 and c not in following | ending]
    consonants = whole(replacing(three_bytes), KA + VIRAMA) & set(map(ord, three_bytes))
    between = following & whole(replacing(SSA), KA + VIRAMA, SSA)
    if between != extending - {ord(NON_JOINER)} | {ord(JOINER)}:
        sys.exit("conjuncts go over other characters than the extending ones, without U+200C, and U+200D")
    syllables = set(HANGUL)
    return {
        "ending": ("end the cluster before them, and are one themselves.", ending),
        "extending": ("belong to the cluster before them.", extending),
        "spacing": ("belong to the cluster before them, too.", following - extending - {ord(JOINER)}),
        "prepended": ("belong to the cluster behind them.", prepended),
        "pictographs": ("are joined by U+200D.", pictographs),
        "consonants": ("are joined by linkers.", consonants),
        "linkers": ("are those of extending that join consonants.", whole(replacing(SSA), KA, SSA) & following),
        "syllableLeads": ("begin a Hangul syllable.", before_lead),
        "syllableVowels": ("stand inside a Hangul syllable.", (before_vowel & before_tail) - before_lead - syllables),
        "syllableTails": ("end a Hangul syllable.", before_tail - before_vowel - syllables),
    }


def block(template: str, first: int) -> str:
    """Put each code point of a block into the template."""
    return "".join(template.replace("*", chr(c)) for c in range(first, first + BLOCK) if not 0xD800 <= c < 0xE000)


def digests(templates: list[str], cut: Callable[[str], str]) -> list[dict]:
    """Return, a template each, a digest of what becomes of every block of code points, for a Go test to compare."""
    result = []
    for template in templates:
        blocks = (cut(block(template, first)) for first in range(0, 0x110000, BLOCK))
        hashes = "".join(hashlib.sha256(text.encode()).hexdigest()[:16] for text in blocks)
        result.append({"template": template, "blocks": hashes})
    return result


def checks() -> dict:
    """Return the digests of GPT-2's words, a line each, and of clusters as a charsmap of a few rules shows them."""
    split = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str
    charsmap = charsmaps.build(dict.fromkeys(("a", ACUTE, COPYRIGHT, REGISTERED, SSA, LEAD, VOWEL, TAIL), "y"))
    return {
        "words": digests(WORDS, lambda text: "\n".join(text[a:b] for _, (a, b) in split(text))),
        "charsmap": base64.b64encode(charsmap).decode(),
        "clusters": digests(CLUSTERS, normalizers.Precompiled(charsmap).normalize_str),
    }


def tables() -> str:
    """Return the Go file."""
    white = matching(r"\s")
    if white != where(lambda c: not pre_tokenizers.WhitespaceSplit().pre_tokenize_str(c)):
        sys.exit("white space of regular expressions is not that of the pre-tokenizers")
    parts = [
        f"// Code generated by training/vectors/segment_tables.py from tokenizers {__version__}. DO NOT EDIT.\n",
        "package tokenizer\n",
        go_spans("letters", r"is \p{L} of regular expressions.", matching(r"\p{L}")),
        go_spans("numbers", r"is \p{N} of regular expressions.", matching(r"\p{N}")),
    ]
    for name, (doc, code_points) in clusters().items():
        parts.append(go_spans(name, doc, sorted(code_points)))
    return "\n".join(parts)


def main() -> None:
    (GO_PACKAGE / "segment_tables.go").write_text(tables())
    path = GO_PACKAGE / "testdata" / "segments.json"
    path.write_text(json.dumps(checks(), indent=1) + "\n")
    print(f"wrote {GO_PACKAGE.name}/segment_tables.go and {path.parent.name}/{path.name}")


if __name__ == "__main__":
    main()
