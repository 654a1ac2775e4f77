"""Published vocabularies: the files that come with CLIP and T5, as tokenizers."""

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from nodeflow_nn.checkpoints import Failure
from nodeflow_nn.said import json_object
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

BEGIN: Final = "<|startoftext|>"
END: Final = "<|endoftext|>"
PIECES: Final = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
"""What CLIP's byte-pair encoding never joins across (Radford et al. 2021: a digit is a piece of its own)."""
ARCHIVE: Final = "bpe_simple_vocab_16e6.txt.gz"
"""The merges as OpenAI published them; packages `open_clip` and `clip` bring this file."""
MERGES: Final = 49152 - 256 - 2
"""Lines of the archive that count, after the first."""
LARGEST: Final = 64 * 2**20
"""Bytes of the largest file that is read; a tokenizer.json of T5 takes two million."""
CLIP_FILES: Final = (("vocab.json", "merges.txt"), ("tokenizer.json",), (ARCHIVE,))
T5_FILES: Final = (("tokenizer.json",), ("spiece.model",))
"""What a folder holds: the first set that is whole is read. With CLIP's merges come first, since a tokenizer.json that
pads with "!" also takes every "!" in a text for padding, which the models were not trained with."""
SETTINGS: Final = ("tokenizer_config.json", "special_tokens_map.json")
"""Files that may say what CLIP's texts are filled up with."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Numbers the pieces of a text. ids: those of a text, without any around it. spell: the text of some. size: one
    more than the largest. begin: what stands before a text, if anything. end: after it. pad: what fills up.
    """

    ids: Callable[[str], list[int]]
    spell: Callable[[list[int]], str]
    size: int
    begin: int | None
    end: int
    pad: int


def present(folder: Path, kinds: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """The first of the sets of files that a folder has; empty if it has none."""
    return next((kind for kind in kinds if all((folder / name).is_file() for name in kind)), ())


def clip_vocabulary(folder: Path, *, pad: int | None = None, failure: Failure = ValueError) -> Vocabulary:
    """CLIP's byte-pair encoding, from any of `CLIP_FILES`.

    Args:
        folder: holds them.
        pad: what fills up; None for what `SETTINGS` say, or else the end token.
        failure: what to raise where files are absent or not what they should be.
    """
    found = present(folder, CLIP_FILES)
    if not found:
        raise failure(_absent(folder, "CLIP", CLIP_FILES))
    if found == ("tokenizer.json",):
        tokenizer = _opened(folder / "tokenizer.json", failure)
    else:
        try:
            numbers, merges = _archive(folder / ARCHIVE) if found == (ARCHIVE,) else _merges(folder, failure)
            tokenizer = _clip(numbers, merges)
        except failure:
            raise
        except Exception as error:  # the bindings raise this very class
            raise failure(
                f"{folder}: no vocabulary can be made of {' and '.join(found)}: {_told(error)}\n    fetch it again"
            ) from error
    begin, end = tokenizer.token_to_id(BEGIN), tokenizer.token_to_id(END)
    if begin is None or end is None:
        raise failure(f"{folder}: its vocabulary has no {BEGIN} and {END}\n    name the folder of a CLIP tokenizer")
    if pad is None:
        said = _padding(folder, failure)
        pad = end if said is None else tokenizer.token_to_id(said)
        if pad is None:
            raise failure(f"{folder}: its texts are filled up with {said!r}, which its vocabulary lacks")
    return _vocabulary(tokenizer, begin, end, pad)


def t5_vocabulary(folder: Path, *, failure: Failure = ValueError) -> Vocabulary:
    """T5's sentence pieces (Kudo and Richardson 2018), from any of `T5_FILES`; failures as `clip_vocabulary`."""
    found = present(folder, T5_FILES)
    if not found:
        raise failure(_absent(folder, "T5", T5_FILES))
    if found == ("tokenizer.json",):
        tokenizer = _opened(folder / "tokenizer.json", failure)
        end, pad = tokenizer.token_to_id("</s>"), tokenizer.token_to_id("<pad>")
        if end is None or pad is None:
            raise failure(f"{folder}: its vocabulary has no </s> and <pad>\n    name the folder of a T5 tokenizer")
        return _vocabulary(tokenizer, None, end, pad)
    from sentencepiece import SentencePieceProcessor  # half of the folders do without

    try:
        pieces = SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    except (RuntimeError, OSError) as error:
        raise failure(f"{folder / 'spiece.model'} cannot be read: {error}\n    fetch it again") from error
    if pieces.pad_id() < 0 or pieces.eos_id() < 0:
        raise failure(f"{folder / 'spiece.model'} has no </s> and <pad>\n    name the folder of a T5 tokenizer")
    return Vocabulary(
        lambda text: pieces.encode(whole(text)),
        pieces.decode,
        pieces.get_piece_size(),
        None,
        pieces.eos_id(),
        pieces.pad_id(),
    )


def whole(text: str) -> str:
    """A text with U+FFFD for each lone surrogate, half a character, which JSON can hold and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def installed_clip() -> Path | None:
    """The folder of the archive in an installed `open_clip` or `clip`, which are not imported."""
    for package in ("open_clip", "clip"):
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            if (Path(folder) / ARCHIVE).is_file():
                return Path(folder)
    return None


def _told(error: Exception) -> str:
    return f"byte {error.start:,} is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def _absent(folder: Path, kind: str, kinds: tuple[tuple[str, ...], ...]) -> str:
    wanted = ", or ".join(" with ".join(names) for names in kinds)
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) if folder.is_dir() else "no such folder"
    return (
        f"{folder} holds no {kind} vocabulary: {there or 'nothing'}\n"
        f"    expected {wanted}: put them there, or name a folder that has them as the tokenizer"
    )


def _vocabulary(tokenizer: Tokenizer, begin: int | None, end: int, pad: int) -> Vocabulary:
    def ids(text: str) -> list[int]:
        found: list[int] = tokenizer.encode(whole(text), add_special_tokens=False).ids
        return found

    def spell(numbers: list[int]) -> str:
        text: str = tokenizer.decode(numbers)
        return text

    size = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    return Vocabulary(ids, spell, size, begin, end, pad)


def _opened(path: Path, failure: Failure) -> Tokenizer:
    json_object(path, failure, most=LARGEST)  # says what is wrong with it, and in which file
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the bindings raise this very class
        raise failure(f"{path} is no tokenizer: {error}\n    fetch it again") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _clip(numbers: Mapping[str, int], merges: list[tuple[str, str]]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(dict(numbers), merges, end_of_word_suffix="</w>", unk_token=END))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in (BEGIN, END) if name in numbers])
    return tokenizer


def _merges(folder: Path, failure: Failure) -> tuple[dict[str, int], list[tuple[str, str]]]:
    numbers = json_object(folder / "vocab.json", failure, most=LARGEST)
    if not all(isinstance(number, int) and number >= 0 for number in numbers.values()):
        raise failure(f"{folder / 'vocab.json'} expected whole numbers by piece\n    fetch it again")
    path = folder / "merges.txt"
    if path.stat().st_size > LARGEST:
        raise failure(f"{path} is larger than {LARGEST:,} bytes\n    fetch it again")
    lines = path.read_text("utf-8").split("\n")
    return numbers, _pairs(lines[lines[0].startswith("#version") :])


def _archive(path: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The numbers follow from the order: bytes, bytes that end a word, merges, the two that are not text."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        merges = _pairs(file.read(LARGEST).split("\n")[1 : MERGES + 1])
    signs = list(byte_signs())
    pieces = [*signs, *(sign + "</w>" for sign in signs), *(a + b for a, b in merges), BEGIN, END]
    return {piece: number for number, piece in enumerate(pieces)}, merges


def byte_signs() -> list[str]:
    """A printable sign for each byte, in CLIP's order: those that are printable first, then the others."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [*map(chr, shown), *(chr(256 + i) for i in range(256 - len(shown)))]


def _pairs(lines: list[str]) -> list[tuple[str, str]]:
    pairs = [tuple(line.split()) for line in lines if line.strip()]
    odd = next((" ".join(pair) for pair in pairs if len(pair) != 2), None)
    if odd is not None:
        raise ValueError(f"{odd!r} is no pair of pieces")
    return [(pair[0], pair[1]) for pair in pairs]


def _padding(folder: Path, failure: Failure) -> str | None:
    for name in SETTINGS:
        if (folder / name).is_file():
            said: Any = json_object(folder / name, failure).get("pad_token")
            text = said.get("content") if isinstance(said, dict) else said
            if isinstance(text, str):
                return text
    return None
