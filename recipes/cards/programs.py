"""Write docs/programs.md, and the list of programs in docs/commands.md, from `PROGRAMS`.

`--check` changes nothing and fails where a file is not what the registry says.
"""

import argparse
import sys
from pathlib import Path

from latentfit.formats.programs import PROGRAMS, Program
from latentfit.runtime import write_atomic
from recipes.cards.wording import with_blocks

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INTRODUCTION = """\
# Who runs these maps, and what each makes of them

<!-- written by `python -m recipes.cards.programs` from latentfit/formats/programs/: edit the program's file there -->

`latentfit export FILE --to NAME --out PATH` writes what the program can run and refuses the rest by name. All tables
are fitted in the signed range [-1, 1] on model-domain latents; ranges convert exactly: for [0, 1] `W / 2` and
`b / 2 + 1/2`, for [0, 255] `127.5 W` and `127.5 b + 127.5`.
"""
END = """\
`latentfit decode` rounds to 8 bit; ComfyUI and others truncate: the same picture, some values one level apart.

Proof: `tests/formats/test_programs.py` runs each export through the program's arithmetic written down anew,
`tests/golden/comfyui_preview.json` holds the pixels that ComfyUI's own previewer made of our tables, and
`tests/conformance/test_every_program.py` tries every program with every form.
"""


def main() -> int:
    """Write, or check, both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    wanted = filled()
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text("utf-8") != text]
    for path in stale:
        if check:
            print(f"{path.relative_to(ROOT)}: not what PROGRAMS says; run `python -m recipes.cards.programs`")
        else:
            print(write_atomic(path, wanted[path]))
    return 1 if check and stale else 0


def filled() -> dict[Path, str]:
    """What both files should hold."""
    listed = ", ".join(f"`{name}`" for name in PROGRAMS)
    return {DOCS / "programs.md": page(), **with_blocks(DOCS / "commands.md", {"programs": f"{listed}."})}


def page() -> str:
    """docs/programs.md."""
    lines = ["| `--to` | | runs | range | bias | how to use the file | know |", "|---|---|---|---|---|---|---|"]
    lines += [row(program) for program in PROGRAMS.values()]
    return "\n".join([INTRODUCTION, *lines, "", END])


def row(program: Program) -> str:
    """A program's row."""
    known = [program.notes] if program.notes else []
    known += ["Holds encoders too."] if program.write_encoder is not None else []
    known += [f"Needs the extra `{program.extra}`."] if program.extra else []
    told = f"`{program.name}` (`{program.ending}`)", program.title, program.runs, program.output_range, program.bias
    how = program.how_to_use.replace("_", r"\_")
    return f"| {' | '.join([*told, how, ' '.join(known) or '–'])} |"


if __name__ == "__main__":
    sys.exit(main())
