"""Seeded texts that try a tokenizer: every plane of Unicode, marks in any order, controls, emoji, long words, prose."""

import random
import unicodedata
from collections.abc import Callable

SENTENCES = (
    "Why was my card charged twice for the same order?",
    "can't you move Tuesday's dentist appointment to 4:30pm instead",
    "It doesn't work; I've restarted it, they're sending another, and he'd rather have his money back!",
    "Book a flight from Zürich to São Paulo on 12/07, returning 19/07 (window seat, please)",
    "How many 25°C days - at 5m² and 3.5€/kWh - until it's paid off?",
    "see https://example.org/a_b?c=d&e=%20f#g or write to first.last+tag@example.org",
    "Le cœur déçu mais l'âme plutôt naïve, Louÿs rêva de crapaüter en canoë au-delà des îles",
    "Příliš žluťoučký kůň úpěl ďábelské ódy",
    "Съешь же ещё этих мягких французских булок, да выпей чаю",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία ΟΔΥΣΣΕΥΣ",
    "İstanbul'da ıslak ışık, IĞDIR",
    "Falsches Üben von Xylophonmusik quält jeden größeren Zwerg, STRASSE ẞ",
    "天地玄黄,宇宙洪荒。日月盈昃,辰宿列张。",
    "いろはにほへと ちりぬるを カタカナ ガギグゲゴ ガ",
    "키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다",
    "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر ومغلف بجلد أزرق",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה שָׁלוֹם",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश",
    "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า",
    "யாமறிந்த மொழிகளிலே தமிழ்மொழி போல் இனிதாவது எங்கும் காணோம்",
    "Tiếng Việt có rất nhiều dấu thanh điệu",
)
SPECIAL = (
    "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]", "##ing", "##", "[unused0]", "[ CLS ]", "[sep]",
    "<s>", "</s>", "<pad>", "<unk>", "<mask>", "▁", "▁▁", "Ġ", "Ċ", "<0x41>", "☃",
)  # fmt: skip
CONTRACTIONS = (
    "'s",
    "'t",
    "'re",
    "'ve",
    "'m",
    "'ll",
    "'d",
    "'S",
    "'LL",
    "'r",
    "'l",
    "'",
    "’s",
    "it's",
    "I'll",
    "o'clock",
)
EMOJI = ("😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇨🇭", "❤️", "☺︎", "1️⃣", "🧑🏿‍🚀", "🏴\U000e0067\U000e0062\U000e007f", "✈", "™️")
WHITESPACE = " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u180e\u2000\u2003\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
INVISIBLE = (
    "\x00\x01\x08\x7f\xad\u034f\u061c\u200b\u200c\u200d\u200e\u2060"
    "\ufe0e\ufe0f\ufeff\ufff9\ufffd\ufffe\U000e0001\U000f0000"
)
C1 = "".join(map(chr, range(0x7E, 0xA2)))
MARKS = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)).startswith("M")]
# What strip_accents keeps although it has a combining class, in Unicode's names as in those of old versions.
KEPT_MARKS = (
    "\u08d4\u1b44\u1baa\u1bf2\u302e\u302f\ua953\ua9c0"
    "\U000111c0\U00011446\U0001d165\U0001d16d\U0001d16e\U0001e000\U0001e94a"
)
BLOCKS = (
    (0x20, 0x7F), (0xA0, 0x250), (0x250, 0x530), (0x530, 0x900), (0x900, 0x1000), (0x1000, 0x1100), (0x1100, 0x1200),
    (0x1200, 0x1E00), (0x1E00, 0x2000), (0x2000, 0x2070), (0x2070, 0x2C00), (0x2C00, 0x3000), (0x3000, 0x3400),
    (0x3400, 0xA000), (0xA000, 0xAC00), (0xAC00, 0xD7A4), (0xD7A4, 0xD800), (0xE000, 0xF900), (0xF900, 0xFB00),
    (0xFB00, 0x10000), (0x10000, 0x11000), (0x11000, 0x12000), (0x12000, 0x1D000), (0x1D000, 0x1D200),
    (0x1D200, 0x1F000), (0x1F000, 0x20000), (0x20000, 0x2A700), (0x2A700, 0x2CEB0), (0x2CEB0, 0x2F800),
    (0x2F800, 0x2FA20), (0x2FA20, 0xE0000), (0xE0000, 0xE0200), (0xE0200, 0x110000),
)  # fmt: skip


def character(r: random.Random) -> str:
    """Return a character of any block, each block as likely as the others."""
    return chr(r.randrange(*r.choice(BLOCKS)))


def anything(r: random.Random) -> str:
    return "".join(r.choice((character(r), r.choice("aZé5. "))) for _ in range(r.randint(1, 40)))


def marks(r: random.Random) -> str:
    """Return letters with marks in any order, lone ones too, and what stands between marks without being seen."""
    pools = ("aeiouyAIxé", MARKS, MARKS, KEPT_MARKS, KEPT_MARKS, INVISIBLE, " .")
    return "".join(r.choice(r.choice(pools)) for _ in range(r.randint(1, 30)))


def controls(r: random.Random) -> str:
    pools = (INVISIBLE, WHITESPACE, C1, "abcXYZ'-", "\r\n")
    return "".join(r.choice(r.choice(pools)) for _ in range(r.randint(0, 25)))


def blanks(r: random.Random) -> str:
    """Return a text of which little or nothing is left."""
    pool = r.choice((" ", " \u200b\ufe0f\ufeff\u2028", " \x81\x8d\x8f\x90", WHITESPACE, INVISIBLE))
    return "".join(r.choice(pool) for _ in range(r.randint(0, 6)))


def spaces(r: random.Random) -> str:
    """Return words, numbers, contractions and signs with white space of any kind and length between them."""
    pools = (" ", " ", "  ", WHITESPACE, ("word", "9", "42nd", "...", "é", "天", "½", "▁"), CONTRACTIONS)
    return "".join(r.choice(r.choice(pools)) for _ in range(r.randint(1, 25)))


def clusters(r: random.Random) -> str:
    """Return grapheme clusters, of few bytes too, and what nearly are such: joiners, linkers, jamo, flags, marks."""
    pools = (
        "\u0301\u0300\u0308\u0345\u200d\u200d\u094d\u0903\ufe0e",
        "\u0600\u0604\u06dd\u110bd\U000110bd",
        "©®☺👍🏽👩❤",
        "कषতরമ\u0937\u094d\u09cd\u0d4d",
        "ᄀ까ᅢᆨᆩ가각힣\ua960\ud7b0\ud7cb",
        "🇨🇭🇦",
        "aeé1 \r\n\t",
        MARKS,
    )
    return "".join(r.choice(r.choice(pools)) for _ in range(r.randint(1, 12)))


def emoji(r: random.Random) -> str:
    return "".join(r.choice((*EMOJI, " ", "ok", "!")) for _ in range(r.randint(1, 15)))


def long_word(r: random.Random) -> str:
    """Return a word about as long as WordPiece takes (100 characters), or 300, of which some do not count."""
    pool = r.choice(("a", "abcdefghij", "éüñ", "한글", "ab\u0301", "a\u200d", "я", "\U0001d15e", "9", "αβ\u0345"))
    length = r.choice((98, 99, 100, 101, 102, 300))
    return r.choice(("", "x ", ".")) + "".join(r.choice(pool) for _ in range(length)) + r.choice(("", " y", "!"))


def special(r: random.Random) -> str:
    return r.choice(("", " ")).join(r.choice((*SPECIAL, "hello", "a", " ")) for _ in range(r.randint(1, 8)))


def prose(r: random.Random) -> str:
    """Return a sentence, in parts from others, in another case or form, or with one character changed."""
    words = [r.choice(r.choice(SENTENCES).split(" ")) for _ in range(r.randint(1, 12))]
    if r.random() < 0.5:
        words = [r.choice(SENTENCES)]
    text = r.choice((" ", " ", "  ", "\n", "-", "'")).join(words)
    text = r.choice((str, str, str.upper, str.title))(text)
    text = unicodedata.normalize(r.choice(("NFC", "NFD", "NFKC")), text)
    if r.random() < 0.5:
        place = r.randrange(len(text) + 1)
        text = text[:place] + character(r) + text[place + r.randint(0, 1) :]
    return text


def truncated(r: random.Random) -> str:
    """Return a text of about 512 tokens, so that either side of the limit is met, or of many more."""
    unit = r.choice(("a", "!", "天", "word", "unbelievableness", "🙂", "é", "\u0301x"))
    tail = r.choice(("", " ", "\u200d\n", " b", ".", "x" * 101))
    count = r.choice((255, 508, 509, 510, 511, 512, 600, 3000))
    return r.choice((" ", " ", "", "\n")).join([unit] * count) + tail


KINDS: tuple[Callable[[random.Random], str], ...] = (
    anything,
    marks,
    controls,
    blanks,
    spaces,
    clusters,
    emoji,
    long_word,
    special,
    prose,
    truncated,
)
WEIGHTS = (20, 14, 8, 3, 10, 12, 4, 3, 4, 21, 1)


def corpus(count: int, seed: int) -> list[str]:
    """Return prose to train vocabularies on."""
    r = random.Random(seed)
    return [prose(r) for _ in range(count)]


def texts(count: int, seed: int) -> list[str]:
    r = random.Random(seed)
    return [kind(r) for kind in r.choices(KINDS, WEIGHTS, k=count)]
