from .keras import keras_of as keras_of
from .onnx import onnx_of as onnx_of
from .onnx import operators as operators
from .python_literals import comfyui as comfyui
from .tables import json_table as json_table
