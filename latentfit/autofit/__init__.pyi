from .config import LadderConfig as LadderConfig
from .run import Ladder as Ladder
from .run import ladder as ladder
from .steps import fit_every_form as fit_every_form
from .steps import learning_curve as learning_curve
from .steps import learning_in_words as learning_in_words
