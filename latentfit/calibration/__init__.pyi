from .choice import FORMS as FORMS
from .choice import Choice as Choice
from .choice import choose as choose
from .prior import Prior as Prior
from .prior import prior_of as prior_of
from .prior import priors_of as priors_of
from .prior import published_priors as published_priors
