"""Names of forms on axes and over pictures."""

from latentfit.fit.basis import form_in_words

__all__ = ["form_in_words"]
