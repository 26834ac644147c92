from .config import LadderConfig as LadderConfig
from .run import ladder as ladder
