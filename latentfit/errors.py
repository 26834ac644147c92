"""The errors and warnings of the package, as data: what is wrong and where, what was expected, what came, what to do.

They name no flag, no node and no cell of a notebook: each front words the remedy in its own terms (`worded`).
"""

import re
from collections.abc import Callable
from typing import Any, Self, TypeVar

Wording = Callable[[str, object], str]
"""How a front writes a setting, of its name and value: `as_argument`, `as_flag` or `as_choice`."""
_STYLE = re.compile(r"\x1b\[[0-9;]*m")  # of a terminal, in the messages of torch
_LONGEST_REASON = 300


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

    def worded(self, word: Wording) -> str:
        """The clause with each setting as `word(name, value)` writes it."""
        parts = self.text.split("{}")
        words = [word(name, value) for name, value in self.settings.items()]
        return "".join(part + said for part, said in zip(parts, [*words, ""], strict=True))

    def renamed(self, **names: str) -> "Remedy":
        """The same with settings called otherwise: ``remedy.renamed(out="store")``."""
        return Remedy(self.text, **{names.get(name, name): value for name, value in self.settings.items()})

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
    """A setting as the command line writes it: ``--keep rgb``, ``--scales 1 2``, ``--no-intercept``."""
    dashed = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{dashed}" if value else f"--no-{dashed}"
    if isinstance(value, list | tuple):
        return " ".join([f"--{dashed}", *map(str, value)])
    return f"--{dashed}" if value is ... else f"--{dashed} {value}"


def as_choice(name: str, value: object) -> str:
    """A setting as a node's widget shows it: ``'keep': rgb``."""
    return f"'{name}'" if value is ... else f"'{name}': {value}"


class Place(str):
    """The place of an error: a file, or whatever has a name, and the part of it, such as a field of its header.

    Attributes
    ----------
    whole : str
    part : str
        The part as it follows the whole's name: ``.domain.shift``; "" for all of it.
    """

    __slots__ = ("part", "whole")
    whole: str
    part: str

    def __new__(cls, whole: object, part: str = "") -> Self:
        made = super().__new__(cls, f"{whole}{part}")
        made.whole, made.part = str(whole), part
        return made

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]
        return self.whole, self.part

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.whole, self.part)


def part_of(place: str, part: str) -> Place:
    """A part of a place, or of a part of it."""
    return Place(place.whole, place.part + part) if isinstance(place, Place) else Place(place, part)


class Told(Exception):
    """What errors and warnings of this package have in common: they are told from fields.

    Parameters
    ----------
    what : str
        Which thing is wrong: a parameter, an operation, and the fact; "" where the place says it.
    place : object
        Where it is wrong, such as a file's path; None where there is none, or `what` begins with it.
    expected, got : str or None
        What would have been right, and what came: shapes, types, ranges, names.
    remedy : str, Remedy or None
        What to do next.
    """

    def __init__(
        self,
        what: str = "",
        *,
        place: object = None,
        expected: str | None = None,
        got: str | None = None,
        remedy: str | Remedy | None = None,
    ) -> None:
        self.what, self.expected, self.got, self.remedy = what, expected, got, remedy
        self.place = None if place is None else place if isinstance(place, Place) else Place(place)
        self._word: Wording = as_argument
        super().__init__(what)

    def worded(self, word: Wording | None = None) -> str:
        """The whole sentence; settings in the remedy as `word` writes them."""
        return self._told_of(self.place or "", word)

    def reason(self, word: Wording | None = None) -> str:
        """The sentence without the place but for the part of it, for lists and errors that name it already."""
        return self._told_of("" if self.place is None else self.place.part.lstrip("."), word)

    def _told_of(self, place: str, word: Wording | None) -> str:
        sentence = self._sentence(word)
        return f"{place}: {sentence}" if place and sentence else place or sentence

    def _sentence(self, word: Wording | None) -> str:
        told = [f"expected {self.expected}"] if self.expected is not None else []
        told += [f"got {self.got}"] if self.got is not None else []
        sentence = ": ".join(part for part in (self.what, ", ".join(told)) if part)
        if self.remedy is None:
            return sentence
        remedy = self.remedy.worded(word or self._word) if isinstance(self.remedy, Remedy) else self.remedy
        return f"{sentence}; {remedy}" if sentence else remedy

    def _fields(self) -> dict[str, Any]:
        names = ("what", "place", "expected", "got", "remedy")
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        return self.worded()

    def __reduce__(self) -> tuple[Any, ...]:
        return _told, (type(self), self._fields(), self._word)


AnyTold = TypeVar("AnyTold", bound=Told)


class LatentfitWarning(Told, UserWarning):
    """Something that is likely not meant, told as errors are."""


class LatentfitError(Told, ValueError):
    """Any error that this package raises on purpose; see `Told` for its fields.

    Examples
    --------
    >>> error = LatentfitError("crops", expected="1 or more", got="0", remedy="take one crop a picture")
    >>> str(error)
    'crops: expected 1 or more, got 0; take one crop a picture'
    """

    def at(self, place: object) -> Self:
        """The same error told of this place, such as a file's path or a node's name for it."""
        part = "" if self.place is None else self.place.part
        return self.as_(type(self), place=Place(place, part))

    def as_(self, kind: type[AnyTold], **changed: Any) -> AnyTold:
        """The same error as another kind, with some of its fields changed: ``error.as_(TrainError, remedy="…")``."""
        return _told(kind, {**self._fields(), **changed}, self._word)

    def renamed(self, **names: str) -> Self:
        """The same error with settings of its remedy called as the caller's are: ``error.renamed(out="store")``."""
        remedy = self.remedy.renamed(**names) if isinstance(self.remedy, Remedy) else self.remedy
        return self.as_(type(self), remedy=remedy)

    def advising(self, more: str) -> Self:
        """The same error with something more to do about it; settings that its remedy names stay data."""
        if isinstance(self.remedy, Remedy):
            return self.as_(type(self), remedy=Remedy(f"{self.remedy.text}; {more}", **self.remedy.settings))
        return self.as_(type(self), remedy=more if self.remedy is None else f"{self.remedy}; {more}")

    def told_as(self, word: Wording) -> Self:
        """The same error whose text words settings so: for fronts whose host shows ``str(error)``."""
        return _told(type(self), self._fields(), word)


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


class CalibrationError(LatentfitError):
    """A pair cannot be learned from, or belongs to another calibration."""


class PaletteError(LatentfitError):
    """A palette cannot be read, is not one, or does not fit what it is used with."""


class ComfyUiError(LatentfitError):
    """A folder is no ComfyUI, or what stands in the node pack's place is not ours."""


def reason_of(error: BaseException) -> str:
    """What any error says in one line, without the place: for the error that tells what was met inside.

    Ours say it as they are; of others' the line breaks, a terminal's colours, the last full stop and what is past 300
    characters go. An error that says nothing is told by its type.
    """
    if isinstance(error, LatentfitError):
        return error.reason()
    said = " ".join(_STYLE.sub("", str(error)).split())
    return said[:_LONGEST_REASON].rstrip(".") or type(error).__name__


def gist_of(error: BaseException) -> str:
    """The first sentence of what any error says: torch's second one advises to run the code of a refused file."""
    if isinstance(error, LatentfitError):
        return error.reason()
    first = _STYLE.sub("", str(error)).strip().partition("\n")[0]
    return first.partition(". ")[0][:_LONGEST_REASON].rstrip(".") or type(error).__name__


def _remedy(text: str, settings: dict[str, object]) -> Remedy:
    return Remedy(text, **settings)


def _told(kind: type[AnyTold], fields: dict[str, Any], word: Wording) -> AnyTold:
    made = kind(**fields)
    made._word = word
    return made
