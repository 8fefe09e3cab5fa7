"""What ``kbsearch init`` writes: a commented ``kbsearch.toml`` and a first article."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kbsearch.config import FILE_NAME
from kbsearch.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_scaffold"]

_TOML: Final = """\
# Settings of kbsearch for this folder and everything below it.
# A command's options win over KBSEARCH_… in the environment, that over this file.

# Folder of the articles (.md, .markdown), relative to this file.
articles = "articles"

# Where the index is kept. Nothing in it is edited by hand, and it can always be built again.
index = "indexes/help"

# "e5-small" works offline in a hundred languages.
# Any sentence-transformers model: "sentence-transformers:NAME_OR_PATH"
# (needs: pip install "kbsearch[sentence-transformers]").
encoder = "e5-small"

# Languages of the articles. The first is that of an article which does not say `lang:`.
languages = ["ja", "en"]

# Words that mean the same, a group a line, such as: 返品, 返却
# Without this, synonyms.txt in the folder of the articles where there is such a file.
# synonyms = "synonyms.txt"

# Encode every sentence, so that snippets are chosen by meaning. It takes as long as encoding the passages; without
# this, it is done for up to 200,000 passages.
# sentences = false

# How much a matching word counts by where it stands: whole numbers, 0 leaves a part out.
[weights]
title = 3
heading = 2
alias = 3
body = 1
"""

_ARTICLE: Final = """\
---
title: 返品の送料はだれが払いますか
lang: ja
kind: faq
tags: [返品, 送料]
# Other wordings that customers use; each is found like the title.
aliases:
  - 返送料の負担
  - 着払いで返していいですか
# updated: 2026-01-31      last time somebody checked the text
# review_by: 2026-07-31    when somebody should check it again
# status: draft            not served until it says published
# valid_from: 2026-02-01   served from this day …
# valid_until: 2026-02-28  … up to and including this one
---

商品に不具合があったときは、当店が送料を負担します。着払いでお送りください。

お客様のご都合による返品では、送料はお客様のご負担になります。ただし、交換の場合の再発送の送料はいただきません。

## 返品できる期間はいつまでですか？

到着から14日以内にお申し込みください。
"""


def write_scaffold(folder: Path) -> tuple[Path, Path]:
    """Write both files; returns their paths.

    Raises
    ------
    ConfigError
        When one of them is already there, or cannot be written; nothing is overwritten.
    """
    config = folder / FILE_NAME
    article = folder / "articles" / "returns" / "shipping-cost.ja.md"
    for file in (config, article):
        if file.exists():
            raise ConfigError(file, "this file is already there; it is left as it is")
    try:
        article.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(_TOML, "utf-8")
        article.write_text(_ARTICLE, "utf-8")
    except OSError as error:
        raise ConfigError(folder, f"cannot write here: {error.strerror}") from error
    return config, article
