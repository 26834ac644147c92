"""The widgets: thin shells over what draws, decodes and fits without a page."""

from latentfit.compare.compare_slider import CompareSlider
from latentfit.compare.step_scrubber import StepScrubber
from latentfit.compare.table_editor import TableEditor
from latentfit.compare.widget import Widget, living
from latentfit.compare.workbench import Workbench

__all__ = ["CompareSlider", "StepScrubber", "TableEditor", "Widget", "Workbench", "living"]
