from .keras_model import keras_of as keras_of
from .onnx_graph import onnx_of as onnx_of
from .onnx_graph import operators as operators
from .program import Program as Program
from .registry import PROGRAMS as PROGRAMS
from .registry import SHARED as SHARED
from .registry import is_format as is_format
