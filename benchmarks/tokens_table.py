"""Make `src/llmopt/tokens/_table.py`: what text pieces weigh in o200k_base, and how far the sums are off.

Reads texts that any Linux machine with Python has (sources, documents, data, translations), cuts samples out
of them, fits the table on one half and measures it on the other. Deterministic for given texts; another
machine holds other texts and gets slightly other numbers.

    python benchmarks/tokens_table.py [--root DIR ...] [--write]
"""

from __future__ import annotations

import argparse
import base64
import gettext
import gzip
import json
import math
import random
import statistics
import sysconfig
import textwrap
import uuid
from bisect import bisect_right
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import llmopt.tokens
from llmopt.tokens.estimate import Estimate, Weights, kind_of, pieces_of
from llmopt.tokens.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

TABLE = Path(__file__).parents[1] / "src/llmopt/tokens/_table.py"
ROOTS = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), "/usr/share", "/usr/lib/python3")
CATALOGS = Path("/usr/share/locale")
SAMPLE_CHARS = 6_000
SAMPLES_PER_CATEGORY = 400
SAMPLES_PER_FOLDER = 4
MIN_TOKENS = 200
MAX_LENGTH = 14
MIN_SEEN = 12
SUFFIXES = {
    "python": (".py", ".pyi"),
    "prose": (".md", ".rst", ".txt", "METADATA", "README.gz", "NEWS.gz", "changelog.gz"),
    "markup": (".html", ".xml", ".svg"),
    "settings": (".yaml", ".yml", ".toml", ".cfg", ".ini", ".conf"),
    "web": (".js", ".css", ".ts"),
    "native": (".h", ".c", ".rs", ".go", ".java", ".sh", ".sql", ".pl", ".pm"),
    "tables": (".csv", ".tsv", ".tab", ".log", ".pem", "RECORD"),
}
LANGUAGES = {
    "latin": ("sv", "fr", "de", "es", "it", "pt_BR", "pl", "cs", "tr", "vi", "fi", "ro", "nl", "hu"),
    "cyrillic, greek": ("ru", "uk", "bg", "sr", "be", "el"),
    "east asian": ("ja", "zh_CN", "zh_TW", "ko"),
    "other scripts": (
        *("ar", "he", "th", "ka", "hi", "ta", "te", "kn"),
        *("ml", "mr", "gu", "pa", "fa", "hy", "bn", "si"),
    ),
}
# First code points of the blocks told apart. A block reaches to the next one.
# fmt: off
BLOCKS = (
    0x80, 0xC0, 0x250, 0x300, 0x370, 0x400, 0x530, 0x590, 0x600, 0x700, 0x900, 0x980, 0xA00, 0xA80, 0xB00,
    0xB80, 0xC00, 0xC80, 0xD00, 0xD80, 0xE00, 0xE80, 0x1000, 0x10A0, 0x1100, 0x1E00, 0x1F00, 0x2000, 0x2070,
    0x2500, 0x3000, 0x3040, 0x3400, 0xA000, 0xAC00, 0xD7B0, 0x10000, 0x1F000, 0x20000,
)
# fmt: on
ACCENTED = (BLOCKS.index(0xC0), BLOCKS.index(0x1E00))


true_tokens: Final = llmopt.tokens.counter("o200k_base").count


class Sample(NamedTuple):
    """A text, the kind of source it was cut from, and how many tokens it truly has."""

    category: str
    text: str
    tokens: int


def files_under(roots: Iterable[str], suffixes: tuple[str, ...]) -> list[Path]:
    """Find the files with one of these endings, in a fixed order."""
    found = {path for root in roots for path in Path(root).rglob("*") if path.name.endswith(suffixes)}
    return sorted(path for path in found if path.is_file() and path.stat().st_size > SAMPLE_CHARS // 6)


def read(path: Path) -> str:
    """Read a text file, unpacking it where it is gzipped; "" where it is not text."""
    data = path.read_bytes()
    try:
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except UnicodeDecodeError:
        return ""


def window(text: str, rng: random.Random) -> str:
    """Cut a sample out of a text at a random place."""
    start = rng.randrange(max(1, len(text) - SAMPLE_CHARS))
    return text[start : start + SAMPLE_CHARS]


def of_files(paths: list[Path], rng: random.Random) -> Iterator[str]:
    """Sample files, a few from each folder so that none sets the tone."""
    taken: dict[Path, int] = defaultdict(int)
    for path in rng.sample(paths, len(paths)):
        taken[path.parent] += 1
        if taken[path.parent] <= SAMPLES_PER_FOLDER:
            yield window(read(path), rng)


def of_json(paths: list[Path], rng: random.Random) -> Iterator[str]:
    """Sample JSON in its usual spellings, and as rows of keys and leaves."""
    for path in rng.sample(paths, len(paths)):
        try:
            value = json.loads(read(path))
        except ValueError:
            continue
        yield window(json.dumps(value, indent=2, ensure_ascii=False), rng)
        yield window(json.dumps(value, separators=(",", ":"), ensure_ascii=False), rng)
        yield window(json.dumps(value), rng)
        yield window("\n".join("\t".join(row) for row in leaves(value, ())), rng)


def leaves(value: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Walk a JSON value; a row is the last three keys before a leaf, and the leaf."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path[-2:], str(key)))
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, path)
    else:
        yield (*path, str(value))


def of_translations(languages: tuple[str, ...], rng: random.Random) -> Iterator[str]:
    """Sample the translated messages of installed programs, the languages in turn."""
    catalogs = [sorted((CATALOGS / language).rglob("*.mo")) for language in languages]
    while catalogs := [paths for paths in catalogs if paths]:
        for paths in catalogs:
            yield window("\n".join(messages_of(paths.pop(rng.randrange(len(paths))))), rng)


def messages_of(catalog: Path) -> list[str]:
    """Read the translations in a gettext catalog, without its header; none where it is not in UTF-8."""
    try:
        with catalog.open("rb") as file:
            messages: dict[object, str] = vars(gettext.GNUTranslations(file))["_catalog"]
    except UnicodeDecodeError:
        return []
    return [message for key, message in messages.items() if key]


def of_ids(rng: random.Random) -> Iterator[str]:
    """Make up what machines write: hashes, UUIDs, base64, times, numbers."""
    makers: tuple[Callable[[], str], ...] = (
        lambda: rng.randbytes(rng.choice((4, 6, 12, 20, 32))).hex(),
        lambda: str(uuid.UUID(bytes=rng.randbytes(16))),
        lambda: base64.b64encode(rng.randbytes(rng.choice((9, 33, 66)))).decode(),
        lambda: f"20{rng.randrange(10, 30)}-0{rng.randrange(1, 10)}-1{rng.randrange(10)}T09:30:15Z",
        lambda: f"{rng.uniform(-1000, 1000):.{rng.randrange(1, 6)}f}",
        lambda: str(rng.randrange(10 ** rng.randrange(1, 10))),
    )
    while True:
        used = rng.sample(makers, 2)
        yield rng.choice((" ", ",", "\n", '", "')).join(rng.choice(used)() for _ in range(120))


def samples(roots: Iterable[str] = ROOTS) -> list[Sample]:
    """Collect samples of all categories, the same number of each as far as there are enough."""
    rng = random.Random(1)
    sources = {name: of_files(files_under(roots, suffixes), rng) for name, suffixes in SUFFIXES.items()}
    sources |= {name: of_translations(languages, rng) for name, languages in LANGUAGES.items()}
    sources |= {"json": of_json(files_under(roots, (".json",)), rng), "ids": of_ids(rng)}
    return [sample for category, texts in sources.items() for sample in first_samples(category, texts)]


def first_samples(category: str, texts: Iterator[str]) -> Iterator[Sample]:
    """Keep the first texts of a category that are long enough."""
    kept = 0
    for text in texts:
        tokens = true_tokens(text)
        if tokens >= MIN_TOKENS:
            kept += 1
            yield Sample(category, text, tokens)
        if kept == SAMPLES_PER_CATEGORY:
            return


def fit(train: list[Sample]) -> Weights:
    """Average what the pieces of the samples weigh, by kind and length or by block.

    Plain words are averaged over English, code and data alone. In Latin scripts with accents, the accented
    words also bear what the plain ones around them weigh more than English ones.
    """
    by_length: dict[tuple[str, int], list[int]] = defaultdict(list)
    by_block: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for sample in train:
        for piece in pieces_of(sample.text):
            if not piece.isascii():
                by_block[block_of(piece)].append((true_tokens(piece), len(piece)))
            elif sample.category not in LANGUAGES:
                by_length[kind_of(piece), len(piece)].append(true_tokens(piece))
    kinds = {kind: row_of(kind, by_length) for kind in sorted({kind for kind, _ in by_length})}
    english = Weights(kinds, BLOCKS, (0,) * len(BLOCKS))
    for sample in train:
        for block, tokens in burden(sample, english) if sample.category == "latin" else ():
            by_block[block].append((tokens, 0))
    return Weights(kinds, BLOCKS, tuple(weight_of(block, by_block) for block in range(len(BLOCKS))))


def burden(sample: Sample, english: Weights) -> list[tuple[int, float]]:
    """Deal what plain words weigh more than English ones to the blocks of the accented words around them."""
    pieces = pieces_of(sample.text)
    more = sum(true_tokens(piece) - english.weigh(piece) / 1000 for piece in pieces if piece.isascii())
    accented = [block_of(piece) for piece in pieces if not piece.isascii() and block_of(piece) in ACCENTED]
    return [(block, more / len(accented)) for block in accented]


def block_of(piece: str) -> int:
    """Number the block of a piece's highest character."""
    return bisect_right(BLOCKS, ord(max(piece))) - 1


def row_of(kind: str, seen: dict[tuple[str, int], list[int]]) -> tuple[int, ...]:
    """Give the averages of a kind by length, and what each character beyond adds, in thousandths.

    A length too rarely seen repeats the one before it.
    """
    row: list[int] = []
    for length in range(1, MAX_LENGTH + 1):
        tokens = seen.get((kind, length), [])
        before = row[-1] if row else 1000
        row.append(round(1000 * statistics.fmean(tokens)) if len(tokens) >= MIN_SEEN else before)
    longer = [
        (length, tokens) for (name, length), tokens in seen.items() if name == kind and length > MAX_LENGTH
    ]
    more_chars = sum(len(tokens) * (length - MAX_LENGTH) for length, tokens in longer)
    more_tokens = sum(sum(tokens) - len(tokens) * row[-1] / 1000 for _, tokens in longer)
    return (*row, max(0, round(1000 * more_tokens / max(1, more_chars))))


def weight_of(block: int, seen: dict[int, list[tuple[float, int]]]) -> int:
    """Give the average per character of a block, in thousandths; if unseen, that of its characters alone."""
    pairs = seen.get(block, [])
    if len(pairs) < MIN_SEEN:
        end = BLOCKS[block + 1] if block + 1 < len(BLOCKS) else 0x2A6DF
        pairs = [(true_tokens(chr(code)), 1) for code in range(BLOCKS[block], end) if chr(code).isprintable()]
    return round(1000 * sum(tokens for tokens, _ in pairs) / max(1, sum(length for _, length in pairs)))


def errors(estimate: Estimate, texts: Iterable[Sample]) -> list[float]:
    """Give the relative error of an estimate on each sample; above zero where it counts too many."""
    return [estimate.count(sample.text) / sample.tokens - 1 for sample in texts]


def percentile(values: Iterable[float], share: float) -> float:
    """Give the value that this share of the values does not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def summary(name: str, found: list[float]) -> str:
    """Put the errors of a set of samples in one line."""
    sizes = [abs(error) for error in found]
    return (
        f"{name:20} n={len(found):4}  median {statistics.median(sizes):6.1%}"
        f"  p95 {percentile(sizes, 0.95):6.1%}  max {max(sizes):6.1%}  bias {statistics.fmean(found):+6.1%}"
    )


def by_language(texts: Iterable[Sample]) -> dict[str, list[Sample]]:
    """Part the samples into the two sets whose errors are stated."""
    sets: dict[str, list[Sample]] = {"English, code, data": [], "other languages": []}
    for sample in texts:
        sets["other languages" if sample.category in LANGUAGES else "English, code, data"].append(sample)
    return sets


def source_of(weights: Weights, p95_errors: list[float], tested: int) -> str:
    """Write the table's module."""
    rows = "\n".join(f'    "{kind}": {row},' for kind, row in weights.kinds.items())
    return f'''"""What pieces of text weigh in o200k_base, in thousandths of a token.

Made by `benchmarks/tokens_table.py`: averages over one half of its samples. 95 in 100 of the
{tested} samples of the other half have errors below the ones stated, as shares of their true counts.
Do not edit.
"""

from __future__ import annotations

from typing import Final

# Of English text, code and data; of texts in other languages.
P95_ERROR: Final = {p95_errors[0]:.2f}
P95_ERROR_OTHER: Final = {p95_errors[1]:.2f}

# By kind (see `kind_of`) and by length, from one character up; last, what every further character adds.
KINDS: Final[dict[str, tuple[int, ...]]] = {{
{rows}
}}

# First code point of each block, and the weight per character of a piece whose highest character lies in it.
# fmt: off
BLOCK_STARTS: Final = (
{wrapped(weights.block_starts)}
)
BLOCKS: Final = (
{wrapped(weights.blocks)}
)
'''


def wrapped(numbers: Iterable[int]) -> str:
    """Write numbers as lines of a tuple."""
    text = ", ".join(map(str, numbers)) + ","
    return textwrap.fill(text, 100, initial_indent="    ", subsequent_indent="    ")


def main() -> None:
    """Fit, measure, and write the table if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", action="append", help="folder with texts, instead of the usual ones")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name}")
    options = parser.parse_args()
    found = samples(options.root or ROOTS)
    weights = fit(found[::2])
    test = found[1::2]
    estimate = Estimate(pieces=Memo(weights.weigh))
    for category in dict.fromkeys(sample.category for sample in test):
        part = [sample for sample in test if sample.category == category]
        print(summary(category, errors(estimate, part)))
    for name, part in by_language(test).items():
        print(summary(name, errors(estimate, part)))
        print(summary("  by chars / 4", [len(sample.text) / 4 / sample.tokens - 1 for sample in part]))
    if options.write:
        parts = by_language(test).values()
        p95_errors = [
            math.ceil(100 * percentile(map(abs, errors(estimate, part)), 0.95)) / 100 for part in parts
        ]
        TABLE.write_text(source_of(weights, p95_errors, len(test)), encoding="utf-8")


if __name__ == "__main__":
    main()
