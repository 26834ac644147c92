"""The errors of the package, as data: what was wrong, what was expected, what was got, and what to do about it.

An error names no flag, no node and no cell of a notebook: each front words the remedy in its own terms (`worded`).
"""

from collections.abc import Callable
from typing import Any, Self


class Remedy:
    """What to do about an error, with the settings that it names kept as data.

    Parameters
    ----------
    text : str
        A clause in the imperative, with ``{}`` where a setting is named.
    **settings : object
        Names and values in the order of the ``{}``; `...` as a value stands for "a value of yours".

    Examples
    --------
    >>> remedy = Remedy("collect it with {}", keep="rgb")
    >>> str(remedy)
    "collect it with keep='rgb'"
    >>> remedy.worded(lambda name, value: f"--{name} {value}")
    'collect it with --keep rgb'
    """

    def __init__(self, text: str, **settings: object) -> None:
        if text.count("{}") != len(settings):
            raise TypeError(f"Remedy: expected a place for each of {len(settings)} settings, got {text!r}")
        self.text = text
        self.settings = settings

    def worded(self, word: Callable[[str, object], str]) -> str:
        """The clause with each setting as `word(name, value)` writes it."""
        parts = self.text.split("{}")
        words = [word(name, value) for name, value in self.settings.items()]
        return "".join(part + said for part, said in zip(parts, [*words, ""], strict=True))

    def __str__(self) -> str:
        return self.worded(as_argument)

    def __repr__(self) -> str:
        return f"Remedy({self.text!r}, {self.settings!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remedy) and (self.text, self.settings) == (other.text, other.settings)

    def __hash__(self) -> int:
        return hash((self.text, tuple(self.settings)))

    def __reduce__(self) -> tuple[Any, ...]:
        return _remedy, (self.text, self.settings)


def as_argument(name: str, value: object) -> str:
    """A setting as a call in Python writes it: ``keep='rgb'``, or ``keep`` alone where the value is the reader's."""
    return name if value is ... else f"{name}={value!r}"


def as_flag(name: str, value: object) -> str:
    """A setting as the command line writes it: ``--keep rgb``."""
    flag = f"--{name.replace('_', '-')}"
    return flag if value is ... else f"{flag} {value}"


def as_choice(name: str, value: object) -> str:
    """A setting as a node's widget shows it: ``keep: rgb``."""
    return name.replace("_", " ") if value is ... else f"{name.replace('_', ' ')}: {value}"


class LatentfitError(ValueError):
    """Any error that this package raises on purpose.

    Parameters
    ----------
    what : str
        Which thing is wrong: a path, a parameter, an operation, and the fact.
    expected, got : str or None
        What would have been right, and what came: shapes, types, ranges, names.
    remedy : str, Remedy or None
        What to do next.

    Examples
    --------
    >>> error = LatentfitError("crops", expected="1 or more", got="0", remedy="take one crop a picture")
    >>> str(error)
    'crops: expected 1 or more, got 0; take one crop a picture'
    """

    def __init__(
        self, what: str, *, expected: str | None = None, got: str | None = None, remedy: str | Remedy | None = None
    ) -> None:
        self.what, self.expected, self.got, self.remedy = what, expected, got, remedy
        super().__init__(what)

    def worded(self, word: Callable[[str, object], str] = as_argument) -> str:
        """The whole sentence; settings in the remedy as `word` writes them."""
        told = [f"expected {self.expected}"] if self.expected is not None else []
        told += [f"got {self.got}"] if self.got is not None else []
        sentence = f"{self.what}: {', '.join(told)}" if told else self.what
        if self.remedy is None:
            return sentence
        remedy = self.remedy.worded(word) if isinstance(self.remedy, Remedy) else self.remedy
        return f"{sentence}; {remedy}"

    def at(self, place: object) -> Self:
        """The same error with the place where it happened, such as a file's path, before it."""
        return type(self)(f"{place}: {self.what}", expected=self.expected, got=self.got, remedy=self.remedy)

    def __str__(self) -> str:
        return self.worded()

    def __reduce__(self) -> tuple[Any, ...]:
        return _error, (type(self), self.what, self.expected, self.got, self.remedy)


class SpaceMismatchError(LatentfitError):
    """Two things of different latent spaces were put together."""


class ScaleError(LatentfitError):
    """A size, or a factor between sizes, that a map cannot give."""


class DomainError(LatentfitError):
    """A tensor's domain (raw, model; signed, unit) cannot be told, or a crossing has no numbers."""


class NotFittedError(LatentfitError):
    """A map was used before `fit`."""


class BadFileError(LatentfitError):
    """A file is truncated, edited, of another kind, or would have to be unpickled."""


class StoreError(LatentfitError):
    """A pair store is damaged, mixed, or does not hold what was asked for."""


class ExportError(LatentfitError):
    """A consumer cannot run what it was asked to be given."""


class BadTableError(ExportError, BadFileError):
    """An exported file cannot be read back."""


class VaeError(LatentfitError):
    """A reference autoencoder cannot be loaded or gave numbers that cannot be used."""


class ImageError(LatentfitError):
    """A picture cannot be read, or is too large or too small to use."""


class NoPicturesError(LatentfitError):
    """A source holds no picture that can be used."""


class FitError(LatentfitError):
    """Data, form and memory do not allow this fit."""


class TrainError(LatentfitError):
    """A network cannot be trained as asked, or its run went wrong."""


class WidgetError(LatentfitError):
    """A widget cannot show what it was given."""


class PreviewError(LatentfitError):
    """A live preview cannot be shown for this pipeline, or not as asked."""


class PaletteError(LatentfitError):
    """A palette cannot be read, is not one, or does not fit what it is used with."""


class ComfyUiError(LatentfitError):
    """A folder is no ComfyUI, or what stands in the node pack's place is not ours."""


def _remedy(text: str, settings: dict[str, object]) -> Remedy:
    return Remedy(text, **settings)


def _error(kind: type[LatentfitError], what: str, expected: str | None, got: str | None, remedy: Any) -> LatentfitError:
    return kind(what, expected=expected, got=got, remedy=remedy)
