"""The widgets: thin shells over what draws, decodes and fits without a page."""

from latentfit.compare.widgets.compare_slider import CompareSlider
from latentfit.compare.widgets.step_scrubber import StepScrubber
from latentfit.compare.widgets.table_editor import TableEditor
from latentfit.compare.widgets.base import Widget, living
from latentfit.compare.widgets.workbench import Workbench

__all__ = ["CompareSlider", "StepScrubber", "TableEditor", "Widget", "Workbench", "living"]
