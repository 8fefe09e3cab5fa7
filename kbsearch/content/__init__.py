"""What a generation knows of its articles. SQLite lives here and nowhere else.

The database is written once (:mod:`kbsearch.content.write`) and then opened read-only and immutable, so that it needs
no lock, no journal and no writable disk. Article numbers are 0-based in order of path; rows are as in every other part
of the generation. What is shown of a row stands in a file beside it, ``.rows`` (:mod:`kbsearch.shown`).

Use: :class:`Content` from any thread.

Never: let a connection or a statement out.
"""

from kbsearch.content.read import Content, Head, head_of
from kbsearch.content.write import Amended, SourceFile, StoredPassage, write_content

__all__ = ["Amended", "Content", "Head", "SourceFile", "StoredPassage", "head_of", "write_content"]
