"""The node pack in a ComfyUI: a link or a copy in ``custom_nodes/latentfit``, whole or not there."""

import os
import shutil
import tempfile
from pathlib import Path

from latentfit.errors import ComfyUiError

NAME = "latentfit"
PACK = Path(__file__).resolve().parent
_COPIED = ("__init__.py", "example_workflows")
_UNFINISHED = ".part.disabled"  # ComfyUI passes folders of that ending over
_MARK = "latentfit_copy.txt"
_PROGRAM = ("main.py", "nodes.py", "folder_paths.py", "custom_nodes")
_BASE = ("custom_nodes", "models", "input", "output")  # what `--base-directory` and the desktop program keep elsewhere


def install(root: Path, *, copy: bool = False) -> str:
    """Put the pack into a ComfyUI; what was done, in words.

    Parameters
    ----------
    root : Path
        The folder with ``main.py`` and ``custom_nodes``, or a base directory with ``custom_nodes`` and ``models``.
    copy : bool
        Copy instead of linking: for file systems without links, and folders that move.

    Raises
    ------
    ComfyUiError
        When the folder is no ComfyUI, something else is called so, or the link cannot be made.
    """
    place = _custom_nodes(root) / NAME
    if not copy and place.is_symlink() and place.resolve() == PACK:
        return f"{place}: linked to {PACK} already; nothing changed"
    there = _kept_by_us(place)
    made = _copied(place.parent) if copy else _linked(place.parent)
    _put(made, place, replaces=there is not None)
    did = f"{'copied' if copy else 'linked'} {'from' if copy else 'to'} {PACK}"
    return f"{place}: {did}{f', in place of a {there}' if there else ''}; restart ComfyUI.\n{_advice(root)}"


def uninstall(root: Path) -> str:
    """Take the link or copy away; what was done, in words.

    Raises
    ------
    ComfyUiError
        When the folder is no ComfyUI, or what stands there is not ours.
    """
    place = _custom_nodes(root) / NAME
    there = _kept_by_us(place)
    if there is None:
        return f"{place}: not there; nothing changed"
    _remove(place)
    return f"{place}: the {there} is gone; models, outputs and pair stores are left; restart ComfyUI"


def _custom_nodes(root: Path) -> Path:
    if root.is_dir():
        for needed in (_PROGRAM, _BASE):
            if all((root / name).exists() for name in needed):
                return root / "custom_nodes"
    inner = root / "ComfyUI"
    hint = f"; did you mean {inner}?" if (inner / "main.py").is_file() else ""
    raise ComfyUiError(
        "no ComfyUI",
        place=root,
        expected=(f"a folder with {', '.join(_PROGRAM)}, or a base directory with {', '.join(_BASE)}{hint}"),
    )


def _kept_by_us(place: Path) -> str | None:
    """What of ours stands there, in a word; None: nothing."""
    if place.is_symlink():
        if place.name == NAME and os.readlink(place).replace(os.sep, "/").rstrip("/").endswith("latentfit/comfyui"):
            return "link"
    elif not place.exists():
        return None
    elif (place / _MARK).is_file():
        return "copy"
    raise ComfyUiError(f"{place}: something else is called so already; it is not ours and stays", remedy="move it away")


def _linked(folder: Path) -> Path:
    made = Path(tempfile.mkdtemp(prefix=f".{NAME}.", suffix=_UNFINISHED, dir=folder))
    made.rmdir()
    try:
        made.symlink_to(PACK, target_is_directory=True)
    except OSError as error:
        raise ComfyUiError(
            f"a link cannot be made ({error.strerror or error})", place=folder, remedy="use --copy"
        ) from error
    return made


def _copied(folder: Path) -> Path:
    made = Path(tempfile.mkdtemp(prefix=f".{NAME}.", suffix=_UNFINISHED, dir=folder))
    try:
        made.chmod(0o755)
        for name in _COPIED:
            source = PACK / name
            if source.is_dir():
                shutil.copytree(source, made / name)
            else:
                shutil.copy2(source, made / name)
        (made / _MARK).write_text(f"copied from {PACK} by `latentfit comfyui install --copy`\n", "utf-8")
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return made


def _put(made: Path, place: Path, *, replaces: bool) -> None:
    """Rename, the old one aside first; what cannot be finished is undone."""
    aside = place.with_name(f".{NAME}.old{_UNFINISHED}")
    try:
        if replaces:
            _remove(aside)
            place.rename(aside)
        made.rename(place)
    except OSError:
        if replaces and not place.exists() and aside.exists():
            aside.rename(place)
        _remove(made)
        raise
    _remove(aside)


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)


def _advice(root: Path) -> str:
    """Where maps go, and what ComfyUI's own Python needs."""
    models = root / "models" / NAME
    checkout = PACK.parents[1]
    where = f'"{checkout}"' if (checkout / "pyproject.toml").is_file() else "PATH_OF_THE_WHEEL"
    return (
        f"Maps go into {models}; the bundled ones are listed too. The Python that runs ComfyUI needs this package: "
        f"there, `python -m pip install --no-deps {where}` is enough."
    )
