"""What many tests share: an encoder that costs nothing, a small help centre, its index, and the command line.

Run as a script, this file is the command line with the fake encoder registered, for tests that need a process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zlib
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest

from kbsearch import embed
from kbsearch.builder import build
from kbsearch.rank import MODES
from kbsearch.search import KnowledgeBase
from kbsearch.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kbsearch.model import FloatArray
    from kbsearch.overviews import BuildReport
    from kbsearch.store import Files

FAKE = "fake"

_DROP_RIGHTS = """
import ctypes, os, sys
for override in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    ctypes.CDLL(None).prctl(24, override, 0, 0, 0)  # PR_CAPBSET_DROP
os.execvp(sys.argv[1], sys.argv[1:])
"""
WITHOUT_ROOT_RIGHTS = (sys.executable, "-c", _DROP_RIGHTS)
"""A wrapper behind which file permissions hold for root, too."""

ARTICLES = {
    "shop/returns.ja.md": """---
id: returns
title: 返品の送料
lang: ja
category: shop/returns
tags: [返品, 送料]
aliases: [返送料はどちらの負担ですか, 着払いで送ってよいですか]
---

不良品の返品の送料は当店が負担します。着払いでお送りください。

## お客様都合の場合

お客様のご負担です。ただし、交換品の再発送は無料です。
""",
    "shop/returns.en.md": """---
id: returns-en
title: Who pays for return shipping?
lang: en
category: shop/returns
tags: [returns, shipping]
translation_of: returns
---

We pay for the return of damaged goods.

## If you changed your mind

You pay the postage. A replacement is sent free of charge.
""",
    "shop/deadline.md": """---
title: 返品の期限
lang: ja
category: shop/returns
---

商品の到着から14日以内にご連絡ください。

| 商品 | 期限 |
| --- | --- |
| 衣類 | 30日 |
| 食品 | 返品できません |
""",
    "shop/delivery.md": """---
title: 配送日数
lang: ja
kind: guide
category: shop/delivery
tags: [配送]
---

ご注文から3日でお届けします。離島は7日かかります。

## 日時の指定

午前、午後、夜間から選べます。
""",
    "shop/FAQ.md": """---
title: よくある質問
lang: ja
kind: faq
category: shop
---

### 領収書は発行できますか

マイページの購入履歴から発行できます。

### 支払い方法は何がありますか

クレジットカード、銀行振込、コンビニ払いです。
""",
    "account/password.ja.md": """---
id: password
title: パスワードを忘れたとき
lang: ja
kind: faq
category: account
tags: [ログイン]
aliases: [ログインできない]
---

ログイン画面の「再設定」を押してください。メールが届きます。
""",
    "account/password.en.md": """---
id: password-en
title: Reset your password
lang: en
kind: faq
category: account
tags: [login]
---

Open the sign-in page and choose “Forgot password”. The link works for 30 minutes.
""",
    "account/2fa.md": """---
title: Two-factor authentication
lang: en
category: account
---

Scan the code with your phone.

```sh
kb-admin reset-2fa USER
```
""",
    "account/leave.md": """---
title: 退会の手続き
lang: ja
category: account
---

1. マイページを開きます。
2. 「退会」を選びます。
3. 確認メールのリンクを押します。
""",
    "tools/vpn.md": """---
title: VPN setup
lang: en
kind: guide
category: tools/network
---

Install the client, then sign in with your staff account.

> Ask the desk when error 809 appears.
""",
    "tools/printer.md": """---
title: プリンターの紙づまり
lang: ja
kind: guide
category: tools
---

背面のカバーを開け、紙をゆっくり引き抜きます。
""",
    "tools/old-printer.md": """---
title: 旧プリンターの設定
lang: ja
category: tools
status: draft
---

この記事は下書きです。
""",
}

QUESTIONS = (
    "返品の送料は誰が払いますか",
    "password reset",
    "紙がつまった",
    "ログインできない",
    "error 809",
    "配送は何日かかりますか",
    "return shipping 30日",
)


class FakeEncoder:
    """Pairs of characters hashed into a unit vector: like texts lie near each other, and it takes microseconds.

    Attributes
    ----------
    encoded
        Every passage that was encoded, in order.
    """

    max_tokens = 512

    def __init__(self, name: str = FAKE, fingerprint: str = "fake/1", dimension: int = 32) -> None:
        self.name, self.fingerprint, self.dimension = name, fingerprint, dimension
        self.encoded: list[str] = []

    def count_tokens(self, text: str) -> int:
        """Half as many tokens as characters."""
        return 2 + len(text) // 2

    def encode_query(self, text: str) -> FloatArray:
        """As a passage."""
        vector = np.full(self.dimension, 0.01, np.float32)
        for first, second in pairwise(text):
            vector[zlib.crc32((first + second).encode("utf-8", "surrogatepass")) % self.dimension] += 1
        unit: FloatArray = vector / np.linalg.norm(vector)
        return unit

    def encode_passages(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> FloatArray:
        """Each text by itself."""
        self.encoded.extend(texts)
        if progress is not None:
            progress(len(texts))
        return np.stack([self.encode_query(text) for text in texts])


class RunKbsearch(Protocol):
    """The command line in a process of its own; its default encoder is the fake one."""

    def __call__(
        self, *arguments: str | bytes | Path, wrapper: Sequence[str] = (), stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run it behind a ``wrapper`` command, with more variables in its environment."""


def write_articles(folder: Path, articles: Mapping[str, str | bytes]) -> Path:
    """Write files below a folder, by path."""
    for path, text in articles.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def files_of(index: Path) -> Files:
    """Where the parts of the generation in force are."""
    generation = Store(index).open()
    generation.close()
    return generation.files


def answers(kb: KnowledgeBase, questions: Sequence[str] = QUESTIONS, **options: Any) -> list[Any]:
    """Everything that an index says to some questions in all modes, as plain values that can be compared."""
    said = []
    for mode in MODES:
        for question in questions:
            found = kb.search(question, mode=mode, **options).to_dict()
            said.append((mode, question, found["hits"]))
    return said


def answers_of(index: Path) -> list[Any]:
    """What an index says when it is opened now; it is let go at once, so that the collector may have it."""
    kb = KnowledgeBase.open(index)
    said = answers(kb)
    kb.snapshot.generation.close()
    return said


def leftovers(index: Path) -> set[str]:
    """Names in the folder of an index that are neither its pointer, its lock nor one of two generations."""
    names = {path.name for path in index.iterdir()} - {"CURRENT", "LOCK", "stamps.json"}
    kept = sorted(name for name in names if name.startswith("gen-"))[-2:]
    return names - set(kept)


@pytest.fixture
def fake_encoder(monkeypatch: pytest.MonkeyPatch) -> FakeEncoder:
    """An encoder that ``load_encoder("fake")`` gives, in this process and for this test."""
    encoder = FakeEncoder()
    monkeypatch.setitem(embed._loaded, (FAKE, None), encoder)
    return encoder


@pytest.fixture(scope="session")
def kb_articles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen small articles; not to be changed: see ``articles``."""
    return write_articles(tmp_path_factory.mktemp("help") / "articles", ARTICLES)


@pytest.fixture(scope="session")
def kb_index(kb_articles: Path) -> Path:
    """Their index with the fake encoder; not to be changed: see ``index``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(embed._loaded, (FAKE, None), FakeEncoder())
        build(kb_articles, kb_articles.parent / "index", encoder=FAKE)
    return kb_articles.parent / "index"


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample ``articles`` and ``indexes/help``, by the real encoder; not to be changed."""
    folder = tmp_path_factory.mktemp("sample")
    (folder / "articles").symlink_to(Path(__file__).parent.parent / "articles")
    build(folder / "articles", folder / "indexes" / "help")
    return folder


@pytest.fixture
def articles(kb_articles: Path, tmp_path: Path) -> Path:
    """A copy of the articles that a test may change."""
    return Path(shutil.copytree(kb_articles, tmp_path / "articles"))


@pytest.fixture
def index(kb_index: Path, tmp_path: Path, fake_encoder: FakeEncoder) -> Path:
    """A copy of their index that a test may change or damage; the fake encoder is there."""
    assert fake_encoder.name == FAKE
    return Path(shutil.copytree(kb_index, tmp_path / "index"))


@pytest.fixture
def rebuild(articles: Path, index: Path) -> Callable[[], BuildReport]:
    """Bring the test's own index up to date with the test's own articles."""
    return lambda: build(articles, index, encoder=FAKE)


@pytest.fixture
def kbsearch(tmp_path: Path) -> RunKbsearch:
    """Run the command line in the test's own folder."""

    def run(
        *arguments: str | bytes | Path, wrapper: Sequence[str] = (), stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("KBSEARCH_")}
        return subprocess.run(
            [*wrapper, sys.executable, __file__, *arguments],
            cwd=tmp_path, input=stdin, capture_output=True, text=True, encoding="utf-8", errors="backslashreplace",
            env=plain | {"KBSEARCH_ENCODER": FAKE} | environment, check=False, timeout=60,
        )  # fmt: skip

    return run


if __name__ == "__main__":
    from kbsearch.cli import main

    embed._loaded[FAKE, None] = FakeEncoder()
    main()
