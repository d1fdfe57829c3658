"""Make `src/llmopt/tokens/_table.py`: what text pieces weigh in o200k_base, and how far the sums are off.

Reads texts that any Linux machine with Python has (sources, documents, data, translations), cuts samples out
of them, fits the table on one half and measures it on the other. Deterministic for given texts; another
machine holds other texts and gets slightly other numbers.

    python benchmarks/tokens_table.py [--root DIR ...] [--json-root DIR ...] [--write]
"""

from __future__ import annotations

import argparse
import base64
import gettext
import gzip
import json
import random
import statistics
import sysconfig
import uuid
from bisect import bisect_right
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import llmopt.tokens
from llmopt.tokens.estimate import Estimate, Weights, kind_of, pieces_of
from llmopt.tokens.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

TABLE = Path(__file__).parents[1] / "src/llmopt/tokens/_table.py"
ROOTS = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), "/usr/share", "/usr/lib/python3")
CATALOGS = Path("/usr/share/locale")
SAMPLE_CHARS = 6_000
SAMPLES_PER_CATEGORY = 160
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
    "other scripts": ("ar", "he", "th", "ka", "hi", "ta", "fa", "hy", "bn"),
}
# First code points of the blocks told apart. A block reaches to the next one.
BLOCKS = (
    0x80, 0xC0, 0x250, 0x300, 0x370, 0x400, 0x530, 0x590, 0x600, 0x900, 0xE00, 0x1000, 0x10A0, 0x1100,
    0x1E00, 0x2000, 0x2070, 0x2500, 0x3000, 0x3040, 0x3400, 0xA000, 0xAC00, 0xD7B0, 0x10000, 0x1F000, 0x20000,
)  # fmt: skip


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
        lambda: f"20{rng.randrange(10, 30)}-0{rng.randrange(1, 10)}-1{rng.randrange(10)}T09:3{rng.randrange(10)}:15Z",
        lambda: f"{rng.uniform(-1000, 1000):.{rng.randrange(1, 6)}f}",
        lambda: str(rng.randrange(10 ** rng.randrange(1, 10))),
    )
    while True:
        used = rng.sample(makers, 2)
        yield rng.choice((" ", ",", "\n", '", "')).join(rng.choice(used)() for _ in range(120))


def samples(roots: Iterable[str], json_roots: Iterable[str]) -> list[Sample]:
    """Collect samples of all categories, the same number of each as far as there are enough."""
    rng = random.Random(1)  # noqa: S311 - samples, not secrets
    sources = {name: of_files(files_under(roots, suffixes), rng) for name, suffixes in SUFFIXES.items()}
    sources |= {name: of_translations(languages, rng) for name, languages in LANGUAGES.items()}
    sources |= {"json": of_json(files_under((*json_roots, *roots), (".json",)), rng), "ids": of_ids(rng)}
    return [sample for category, texts in sources.items() for sample in first_samples(category, texts)]


def first_samples(category: str, texts: Iterator[str]) -> Iterator[Sample]:
    """Keep the first texts of a category that are long enough."""
    count = llmopt.tokens.counter("o200k_base").count
    kept = 0
    for text in texts:
        tokens = count(text)
        if tokens >= MIN_TOKENS:
            kept += 1
            yield Sample(category, text, tokens)
        if kept == SAMPLES_PER_CATEGORY:
            return


def fit(train: list[Sample]) -> Weights:
    """Average what the pieces of the samples weigh, by kind and length or by block."""
    count = llmopt.tokens.counter("o200k_base").count
    by_length: dict[tuple[str, int], list[int]] = defaultdict(list)
    by_block: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for sample in train:
        for piece in pieces_of(sample.text):
            if piece.isascii():
                by_length[kind_of(piece), len(piece)].append(count(piece))
            else:
                by_block[bisect_right(BLOCKS, ord(max(piece))) - 1].append((count(piece), len(piece)))
    kinds = {kind: row_of(kind, by_length) for kind in sorted({kind for kind, _ in by_length})}
    return Weights(kinds, BLOCKS, tuple(weight_of(block, by_block) for block in range(len(BLOCKS))))


def row_of(kind: str, seen: dict[tuple[str, int], list[int]]) -> tuple[int, ...]:
    """Give the averages of a kind by length, in thousandths; a length too rarely seen repeats the one before."""
    row: list[int] = []
    for length in range(1, MAX_LENGTH + 1):
        tokens = seen.get((kind, length), [])
        row.append(round(1000 * statistics.fmean(tokens)) if len(tokens) >= MIN_SEEN else row[-1] if row else 1000)
    return tuple(row)


def weight_of(block: int, seen: dict[int, list[tuple[int, int]]]) -> int:
    """Give the average per character of a block, in thousandths; where it is unseen, that of its characters alone."""
    pairs = seen.get(block, [])
    if len(pairs) < MIN_SEEN:
        count = llmopt.tokens.counter("o200k_base").count
        end = BLOCKS[block + 1] if block + 1 < len(BLOCKS) else 0x2A6DF
        pairs = [(count(chr(code)), 1) for code in range(BLOCKS[block], end) if chr(code).isprintable()]
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
        f"{name:16} n={len(found):4}  median {statistics.median(sizes):6.1%}  p95 {percentile(sizes, 0.95):6.1%}"
        f"  max {max(sizes):6.1%}  bias {statistics.fmean(found):+6.1%}"
    )


def source_of(weights: Weights, p95_error: float, tested: int) -> str:
    """Write the table's module."""
    rows = "\n".join(f'    "{kind}": {row},' for kind, row in weights.kinds.items())
    return f'''"""What pieces of text weigh in o200k_base, in thousandths of a token.

Made by `benchmarks/tokens_table.py`: averages over one half of its samples. Of the {tested} samples of the other
half, 95 in 100 are estimated with an error below P95_ERROR. Do not edit.
"""

from __future__ import annotations

from typing import Final

P95_ERROR: Final = {p95_error:.3f}

# By kind (see `kind_of`) and by length, from one character up.
KINDS: Final[dict[str, tuple[int, ...]]] = {{
{rows}
}}

# First code point of each block, and the weight per character of a piece whose highest character lies in it.
BLOCK_STARTS: Final = {weights.block_starts}
BLOCKS: Final = {weights.blocks}
'''


def main() -> None:
    """Fit, measure, and write the table if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", action="append", help="folder with texts, instead of the usual ones")
    parser.add_argument("--json-root", action="append", default=[], help="one more folder with JSON files")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name}")
    options = parser.parse_args()
    found = samples(options.root or ROOTS, options.json_root)
    train, test = found[::2], found[1::2]
    weights = fit(train)
    estimate = Estimate(pieces=Memo(weights.weigh))
    for category in dict.fromkeys(sample.category for sample in found):
        print(summary(category, errors(estimate, [sample for sample in test if sample.category == category])))
    print(summary("all", errors(estimate, test)))
    print(summary("chars / 4", [len(sample.text) / 4 / sample.tokens - 1 for sample in test]))
    if options.write:
        p95_error = percentile(map(abs, errors(estimate, test)), 0.95)
        TABLE.write_text(source_of(weights, p95_error, len(test)), encoding="utf-8")


if __name__ == "__main__":
    main()
