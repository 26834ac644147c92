from .config import AutofitConfig as AutofitConfig
from .run import AutofitResult as AutofitResult
from .run import autofit as autofit
from .steps import export_all as export_all
from .steps import fit_every_form as fit_every_form
from .steps import learning_curve as learning_curve
from .steps import learning_in_words as learning_in_words
