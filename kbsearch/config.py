"""Settings of the command line: options win over the environment, that over ``kbsearch.toml``, that over defaults.

``kbsearch.toml`` is looked for in the working folder and upward. Paths in it are relative to the file; paths in
options and the environment (``KBSEARCH_ARTICLES``, ``KBSEARCH_INDEX``, ``KBSEARCH_ENCODER``, ``KBSEARCH_LANGUAGES``,
``KBSEARCH_SYNONYMS``, ``KBSEARCH_SENTENCES``, ``KBSEARCH_WEIGHTS``) to the working folder.

Never: read this from the library. A developer passes values; only the command line has a working folder.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kbsearch.errors import ConfigError
from kbsearch.model import Weights

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FILE_NAME", "Settings", "load_settings"]

FILE_NAME: Final = "kbsearch.toml"

_KEYS: Final = ("articles", "index", "encoder", "languages", "synonyms", "sentences", "weights")
_YES_OR_NO: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_MAX_WEIGHT: Final = 20


@dataclass(frozen=True, slots=True)
class Settings:
    """What a command works with. ``file`` is the kbsearch.toml that was read, None when there is none."""

    articles: Path = Path("articles")
    index: Path = Path("indexes/help")
    encoder: str = "e5-small"
    languages: tuple[str, ...] = ()
    synonyms: Path | None = None
    sentences: bool | None = None
    weights: Weights = field(default_factory=Weights)
    file: Path | None = None


def load_settings(options: Mapping[str, Any], environment: Mapping[str, str], folder: Path) -> Settings:
    """Settle each setting by its strongest source.

    Parameters
    ----------
    options
        Values from the command line by name; None for what was not given.
    environment
        As ``os.environ``.
    folder
        The working folder.

    Raises
    ------
    ConfigError
        For a file that is no TOML, an unknown key or a value of the wrong kind; names the source.
    """
    file = next((path / FILE_NAME for path in [folder, *folder.parents] if (path / FILE_NAME).is_file()), None)
    values: dict[str, Any] = {}
    if file is not None:
        values |= _from_file(file)
    values |= _from_environment(environment)
    values |= {name: value for name, value in options.items() if value is not None}
    return Settings(**values, file=file)


def _from_file(file: Path) -> dict[str, Any]:
    import tomllib  # which who has no such file does without

    try:
        table = tomllib.loads(file.read_text("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(file, str(error)) from error
    if unknown := sorted(table.keys() - set(_KEYS)):
        raise ConfigError(file, f"unknown setting “{unknown[0]}”; known are {', '.join(_KEYS)}")
    values: dict[str, Any] = {}
    for name in ("articles", "index", "encoder", "synonyms"):
        if name in table:
            if not isinstance(table[name], str) or not table[name]:
                raise ConfigError(file, f"{name} must be a text, not {table[name]!r}")
            values[name] = table[name] if name == "encoder" else file.parent / table[name]
    if "languages" in table:
        values["languages"] = _languages(file, table["languages"])
    if "sentences" in table:
        if not isinstance(table["sentences"], bool):
            raise ConfigError(file, f"sentences must be true or false, not {table['sentences']!r}")
        values["sentences"] = table["sentences"]
    if "weights" in table:
        values["weights"] = _weights(file, table["weights"])
    return values


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in _KEYS:
        source = f"KBSEARCH_{name.upper()}"
        text = environment.get(source, "")
        if not text:
            continue
        if name in {"articles", "index", "synonyms"}:
            values[name] = Path(text)
        elif name == "encoder":
            values[name] = text
        elif name == "sentences":
            if text.lower() not in _YES_OR_NO:
                raise ConfigError(source, f"sentences must be true or false, not “{text}”")
            values[name] = _YES_OR_NO[text.lower()]
        elif name == "languages":
            values[name] = _languages(source, text.replace(",", " ").split())
        else:
            pairs = [pair.partition("=") for pair in text.replace(",", " ").split()]
            values[name] = _weights(
                source, {key: int(value) if value.isdecimal() else value for key, _, value in pairs}
            )
    return values


def _languages(source: Path | str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise ConfigError(source, f'languages must be a list such as ["ja", "en"], not {value!r}')
    return tuple(item.lower() for item in value)


def _weights(source: Path | str, value: object) -> Weights:
    names = [part.name for part in fields(Weights)]
    if not isinstance(value, dict):
        raise ConfigError(source, f"weights must be a table of {', '.join(names)}, not {value!r}")
    for name, number in value.items():
        if name not in names:
            raise ConfigError(source, f"unknown weight “{name}”; known are {', '.join(names)}")
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= _MAX_WEIGHT:
            raise ConfigError(
                source, f"the weight {name} must be a whole number from 0 to {_MAX_WEIGHT}, not {number!r}"
            )
    return Weights(**value)
