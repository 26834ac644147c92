from .previewer import preview as preview
from .session import Live as Live
from .steps import Step as Step
