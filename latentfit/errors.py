"""The errors of the package: each says what was wrong, what was expected, what came, and what to do."""


class LatentfitError(ValueError):
    """Any error that this package raises on purpose."""


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
