from .arguments import say as say
from .arguments import solution_line as solution_line
from .arguments import write_csv as write_csv
from .commands import COMMANDS as COMMANDS
from .commands import main as main
from .train import TrainFlags as TrainFlags
