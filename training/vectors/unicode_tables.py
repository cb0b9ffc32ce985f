"""Writes the Unicode tables of package model/tokenizer, as the tokenizers library of requirements.txt has them.

Nothing is taken from a Unicode database: the library is asked about every code point. Beside the tables it writes
digests of what the library makes of every code point under every setting, for a Go test to compare.

    python unicode_tables.py                    # from any folder; takes a minute or two
"""

import hashlib
import itertools
import json
import sys
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

from tokenizers import __version__, normalizers, pre_tokenizers

GO_PACKAGE = Path(__file__).resolve().parents[2] / "model" / "tokenizer"
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
BLOCK = 4096
SETTINGS = ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
HANGUL = range(0xAC00, 0xD7A4)

Normalize = Callable[[str], str]


def bert(**on: bool) -> Normalize:
    """Return BertNormalizer with only the given settings switched on."""
    return normalizers.BertNormalizer(**{name: on.get(name, False) for name in SETTINGS}).normalize_str


def spans(code_points: Iterable[int]) -> list[tuple[int, int]]:
    """Join ascending code points to closed ranges."""
    result: list[tuple[int, int]] = []
    for code in code_points:
        if result and result[-1][1] == code - 1:
            result[-1] = (result[-1][0], code)
        else:
            result.append((code, code))
    return result


def where(test: Callable[[str], bool]) -> list[int]:
    return [code for code in CODE_POINTS if test(chr(code))]


def changed(normalize: Normalize) -> dict[int, str]:
    """Map every code point that the function changes to what it becomes."""
    return {c: out for c in CODE_POINTS if (out := normalize(chr(c))) != chr(c)}


def combining_classes(nfd: Normalize, decomposed: dict[int, str]) -> dict[int, int]:
    """Find every non-zero canonical combining class by watching NFD put marks in order.

    Python's database only proposes one reference mark a class; the order that the library gives decides.
    """
    lowest, highest = "\u0334", "\u0345"  # classes 1 and 240

    def swaps(first: str, second: str) -> bool:
        return nfd("a" + first + second) != "a" + first + second

    marks = [c for c in CODE_POINTS if c not in decomposed and (swaps(highest, chr(c)) or swaps(chr(c), lowest))]
    references: dict[int, str] = {}
    for code in marks:
        references.setdefault(unicodedata.combining(chr(code)), chr(code))
    classes = sorted(references)
    for low, high in itertools.pairwise(classes):
        if not swaps(references[high], references[low]):
            sys.exit(f"classes {low} and {high} are one to the library")
    result = {}
    for code in marks:
        equal = [k for k in classes if not swaps(references[k], chr(code)) and not swaps(chr(code), references[k])]
        if len(equal) != 1:
            sys.exit(f"no single combining class for U+{code:04X}: {equal}")
        result[code] = equal[0]
    return result


def escape(text: str) -> str:
    """Write a string as the inside of a Go string literal, in ASCII."""

    def one(c: str) -> str:
        if c.isascii() and c.isprintable() and c not in '"\\':
            return c
        return f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}"

    return "".join(map(one, text))


def lines(items: list[str]) -> str:
    """Lay out the items of a Go literal in lines of at most 110 characters or so."""
    rows, row = [], ""
    for item in items:
        if len(row) + len(item) > 110:
            rows.append(row)
            row = ""
        row += (" " if row else "") + item + ","
    return "\n".join("\t" + r for r in [*rows, row])


def go_spans(name: str, doc: str, code_points: Iterable[int]) -> str:
    items = [f"{{{low:#x}, {high:#x}}}" for low, high in spans(code_points)]
    return f"// {name} {doc}\nvar {name} = []span{{\n{lines(items)}\n}}\n"


def go_mappings(name: str, doc: str, mappings: dict[int, str]) -> str:
    items = [f'"{escape(chr(code) + out)}"' for code, out in mappings.items()]
    return f"// {name} {doc}\nvar {name} = []string{{\n{lines(items)}\n}}\n"


def go_classes(classes: dict[int, int]) -> str:
    items = [
        f"{{span{{{low:#x}, {high:#x}}}, {number}}}"
        for number in sorted(set(classes.values()))
        for low, high in spans(c for c in classes if classes[c] == number)
    ]
    doc = "// combiningClasses holds every canonical combining class but 0."
    return f"{doc}\nvar combiningClasses = []combiningSpan{{\n{lines(items)}\n}}\n"


def tables() -> str:
    """Return the Go file."""
    clean, chinese, strip = bert(clean_text=True), bert(handle_chinese_chars=True), bert(strip_accents=True)
    nfd, split = normalizers.NFD().normalize_str, pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    decomposed = changed(nfd)
    if any(decomposed[c] != unicodedata.normalize("NFD", chr(c)) for c in HANGUL):
        sys.exit("a Hangul syllable is not decomposed by the Unicode standard's formula")
    listed = {code: out for code, out in decomposed.items() if code not in HANGUL}
    accents = where(lambda c: strip(c) == "" and nfd(c) == c)
    pieces = {c: len(split("a" + chr(c) + "a")) for c in CODE_POINTS}
    if any(pieces[c] != 2 for c in where(lambda c: clean(c) == " ")):
        sys.exit("clean_text turns something into a space that the pre-tokenizer does not split at")
    parts = [
        f"// Code generated by training/vectors/unicode_tables.py from tokenizers {__version__}. DO NOT EDIT.\n",
        "package tokenizer\n",
        go_spans("control", "is what clean_text deletes.", where(lambda c: clean(c) == "")),
        go_spans("chinese", "is what handle_chinese_chars puts spaces around.", changed(chinese)),
        go_spans("accent", "is what strip_accents deletes after NFD.", accents),
        go_spans("whitespace", "is where the pre-tokenizer splits.", (c for c, n in pieces.items() if n == 2)),
        go_spans("punctuation", "is what the pre-tokenizer makes a word.", (c for c, n in pieces.items() if n == 3)),
        go_classes(combining_classes(nfd, decomposed)),
        go_mappings("decompositions", "hold a rune, then its full NFD; Hangul syllables have a formula.", listed),
        go_mappings("lowerCase", "holds a rune, then what lowercase makes of it.", changed(bert(lowercase=True))),
    ]
    return "\n".join(parts)


def words(settings: dict[str, bool], first: int) -> list[str]:
    """Return the words that the library finds in the probing text of one block: see the Go test, which builds the same.

    Each code point stands between letters, and between two marks in the wrong order: one that is deleted lets them
    change places, or not, by its combining class.
    """
    block = [chr(c) for c in range(first, first + BLOCK) if not 0xD800 <= c < 0xE000]
    text = "".join(f"a{c}b x\U0001d16d{c}\U0001d165y " for c in block)
    normalized = normalizers.BertNormalizer(**settings).normalize_str(text)
    return [word for word, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(normalized)]


def digests() -> list[dict]:
    """Return, a setting each, a digest of the words of every block of code points."""
    result = []
    for values in itertools.product((True, False), repeat=len(SETTINGS)):
        settings = dict(zip(SETTINGS, values, strict=True))
        blocks = ("".join(word + "\n" for word in words(settings, first)) for first in range(0, 0x110000, BLOCK))
        hashes = "".join(hashlib.sha256(block.encode()).hexdigest()[:16] for block in blocks)
        result.append({"settings": settings, "blocks": hashes})
    return result


def main() -> None:
    (GO_PACKAGE / "unicode_tables.go").write_text(tables())
    path = GO_PACKAGE / "testdata" / "codepoints.json"
    path.write_text(json.dumps(digests(), indent=1) + "\n")
    print(f"wrote {GO_PACKAGE.name}/unicode_tables.go and {path.parent.name}/{path.name}")


if __name__ == "__main__":
    main()
