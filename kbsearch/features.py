"""What the ranking looks at: each candidate article in numbers that mean the same on any corpus.

An article has, in each measure, the best of its candidate rows. Cosines are put in units of the corpus's own spread
(mean and standard deviation between random passages, from the manifest), BM25 is a share of the most that the question
could score, and overlaps are shares of idf mass. What is a property of the question alone stands in every row of it.

The arithmetic is ``kb_features`` in ``core/features.c``. The names in ``NAMES`` are those of the model file; a feature
is added at the end and never changes its meaning.
"""

from __future__ import annotations

from typing import Final

__all__ = ["JAPANESE_QUESTION", "NAMES"]

NAMES: Final = (
    "cosine",  # of the best row, in corpus spreads above the corpus mean
    "cosine_gap",  # below the pool's best, in spreads; 0 or less
    "cosine_second",  # of the second-best row, below the best one; 0 where there is none
    "words",  # BM25 of words, share of its ceiling
    "grams",
    "words_gap",  # below the pool's best
    "grams_gap",
    "title_words",  # share of the question's idf mass that the title holds
    "title_grams",
    "heading_words",
    "heading_grams",
    "alias_words",
    "alias_grams",
    "title_words_reverse",  # share of the title's terms that the question holds
    "title_grams_reverse",
    "heading_words_reverse",
    "heading_grams_reverse",
    "alias_words_reverse",
    "alias_grams_reverse",
    "words_standing",  # 1 / (10 + rank among the articles of the pool)
    "grams_standing",
    "cosine_standing",
    "same_script",  # 1 where question and article are both Japanese, or both not
    "question_japanese",  # share of the question's characters
    "question_terms",  # ln(1 + number of distinct grams)
    "words_best",  # the pool's best, of all articles
    "grams_best",
    "cosine_best",
    "cosine_deviation",  # of the pool's articles, in spreads
    "title_cosine",  # of the title alone or a row's heading, the nearest, in spreads between titles above their mean
    "title_cosine_gap",  # below the pool's best
    "cosine_language",  # of the best row, in the spread of this question's cosines in the article's script
    "cosine_language_gap",  # below the pool's best
)

JAPANESE_QUESTION: Final = 0.2
"""From this share of Japanese characters on a question is Japanese."""
