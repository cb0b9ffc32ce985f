"""The golden texts: what every server must reproduce before it serves a bundle.

The texts here are awkward on purpose and belong to no domain. A file of texts of the model's own kind can be added.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from flair.models import TextClassifier
from tokenizers import Tokenizer

from . import evaluate
from .errors import InputError

LIMIT = 200

_WORDS = "the river ran past the old mill and over the stones where children used to fish on summer evenings".split()

AWKWARD = (
    "",
    " ",
    "      ",
    "\u200b\u200c\ufeff",
    " \u2028\u2029 ",
    "\x81\x8d\x8f\x90",
    "\n\t",
    "\r\n\r\n",
    "\xa0",
    "\u3000",
    "\x00",
    "\ufffd",
    "a",
    "?",
    "...",
    "!!!???!!!",
    "🙂",
    "👩\u200d👩\u200d👧\u200d👦 had a picnic ❤\ufe0f",
    "flags 🇫🇷🇯🇵 and skin tones 👍🏽👍🏿",
    "what a day 😂😂😂 ... lol :-)",
    "Can't, won't, don't and shouldn't: they're contractions, aren't they?",
    "rock'n'roll o'clock 'tis the writers' guild's",
    "it’s “quoted” – with dashes — and … dots",
    "25°C, 5m², 3.5€/kWh, 10km/h and 7µs",
    "call +49 (0)30 1234-567 before 17:45 on 2026-03-01",
    "pay 1,234,567.89 USD or 0x1F4A9 or 1e-9",
    "see https://example.org/a/b?c=d&e=%20f#g or mail me@example.org",
    "C:\\Program Files\\thing.exe /usr/local/bin ../../etc",
    "SELECT * FROM texts WHERE id = 1; -- comment",
    '<p class="x">bold &amp; brave</p>',
    '{"text": "not really", "n": [1, 2]}',
    "[CLS] [SEP] [PAD] [UNK] [MASK]",
    "before[SEP]after [PAD][PAD] [CLS]",
    "[sep] <s> </s> <|endoftext|> ##ing ##",
    "line one\nline two\r\nline three\rline four",
    "hyphen-\rated and soft\xadhyphen",
    "tab\tseparated\tvalues",
    "bell\x07 escape\x1b[31mred\x1b[0m delete\x7f",
    "windows quotes \x93here\x94 and a dash \x96 euro \x80",
    "nel\x85here and \x9b beyond",
    "zero\u200bwidth\u200cin\ufeffside",
    "left\u200eto\u200fright marks \u202ehidden\u202c",
    "Cafe\u0301 re\u0301sume\u0301 nai\u0308ve A\u030angstro\u0308m",
    "Café résumé naïve Ångström",
    "z̸̢̛a̷͎l̶g̵o̴ t̷e̸x̶t̵",
    "\u0301\u0302 marks that stand alone \u0303",
    "İstanbul ISPARTA ıspanak",
    "ΟΔΥΣΣΕΥΣ και οι φίλοι του",
    "Straße, Fußgänger, ẞ and ǅ",
    "ﬁne ﬂow ½ Ⅷ ① ㎏",
    "𝕳𝖊𝖑𝖑𝖔 𝓌𝑜𝓇𝓁𝒹",
    "Wie komme ich morgen früh am schnellsten zum Bahnhof?",
    "¿Cuánto cuesta un billete de ida y vuelta a Málaga?",
    "Je voudrais réserver une table pour deux personnes ce soir.",
    "Qual è il saldo del mio conto corrente?",
    "Quanto custa enviar dinheiro para o exterior?",
    "Ile kosztuje bilet do Łodzi?",
    "Jaké bude zítra počasí v Brně?",
    "Kan jij het licht in de keuken uitdoen?",
    "Какая погода будет завтра в Москве?",
    "Який сьогодні курс гривні?",
    "ما هو رصيد حسابي المصرفي؟",
    "מה מזג האוויר מחר?",
    "मेरे खाते में कितने पैसे हैं?",
    "พรุ่งนี้อากาศเป็นอย่างไร",
    "明天北京的天气怎么样？",
    "明日の東京の天気は？ カタカナとひらがな",
    "내일 서울 날씨 어때?",
    "Bugün hava nasıl olacak?",
    "𠮷野家で𩸽を食べる",
    "supercalifragilisticexpialidocious" * 3,
    "x" * 300,
    " ".join(_WORDS * 32)[:3000],
    " ".join(f"{word}-{i}" for i, word in enumerate(_WORDS * 40)),
    "   leading and trailing   spaces   ",
    "MiXeD cAsE ANd SHOUTING",
    "_under_score_ snake_case camelCase kebab-case",
    "one,two;three:four|five/six\\seven",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z",
    "nothing here concerns any label that a model may know",
)


@dataclass(frozen=True)
class Golden:
    """Texts with the ids and probabilities that Flair and the served graph gave; None where there is no label."""

    texts: list[str]
    ids: list[list[int]]
    flair: list[list[float] | None]
    graph: list[list[float] | None]

    @property
    def difference(self) -> float:
        """The largest difference of a probability between the served graph and Flair."""
        return evaluate.largest_difference(self.graph, self.flair)

    def content(self) -> bytes:
        """golden.jsonl: one object a line."""
        rows = zip(self.texts, self.ids, self.flair, self.graph, strict=True)
        objects = ({"text": text, "ids": ids, "flair": flair, "graph": graph} for text, ids, flair, graph in rows)
        return "".join(json.dumps(o, ensure_ascii=False, separators=(",", ":")) + "\n" for o in objects).encode()


def texts(path: Path | None) -> list[str]:
    """The awkward texts, and those of a file of JSON lines {"text": ...} or JSON strings."""
    own = [] if path is None else _read(path)
    every = list(dict.fromkeys([*AWKWARD, *own]))
    if len(every) > LIMIT:
        raise InputError(f"{path}: at most {LIMIT - len(AWKWARD)} golden texts of your own; it has {len(own)}")
    return every


def _read(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"golden texts: cannot read {path}: {err}") from None
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as err:
            raise InputError(f"{path}, line {number}: not JSON: {err.msg}") from None
        text = value.get("text") if isinstance(value, dict) else value
        if not isinstance(text, str):
            raise InputError(f'{path}, line {number}: want a JSON string or an object with "text"')
        found.append(text)
    return found


def make(classifier: TextClassifier, tokenizer: Tokenizer, graph: bytes, max_tokens: int, every: list[str]) -> Golden:
    """Runs Flair, each text alone, and the served graph, each text alone."""
    ids = evaluate.token_ids(tokenizer, every, max_tokens)
    flair = [evaluate.flair_probabilities(classifier, [text])[0] for text in every]
    return Golden(every, ids, flair, evaluate.graph_probabilities(graph, ids, multi_label=classifier.multi_label))
