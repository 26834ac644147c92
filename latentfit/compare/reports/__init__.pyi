from .builder import report as report
from .page import Page as Page
