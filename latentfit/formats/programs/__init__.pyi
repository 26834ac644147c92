from .tables import json_table as json_table
