"""`latentfit calibrations`: what previews have learned, listed, exported, merged and deleted."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from latentfit.cli.arguments import MaybeFile, MaybeFiles, check_out, say
from latentfit.errors import CalibrationError, ExportError, LatentfitError, Remedy
from latentfit.formats.programs import registry

_NAMES = (
    f"For export, a program: {', '.join(registry.names(of_formats=False))}; or a format: "
    f"{', '.join(registry.names(of_formats=True))}. Left out: latentfit's own file."
)


def calibrations(
    action: Annotated[Literal["list", "export", "merge", "delete"], tyro.conf.Positional] = "list",
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = "",
    to: Annotated[str | None, tyro.conf.arg(metavar="NAME", help=_NAMES, help_behavior_hint="")] = None,
    out: MaybeFile = None,
    others: MaybeFiles = (),
) -> None:
    """See and use what previews have learned from the pictures that were painted, one calibration a space and VAE.

    They lie in the user's cache folder; the environment variable LATENTFIT_CACHE names another.

    Parameters
    ----------
    action : str
        list: all of them, and where they lie. export: write the map of one for a program, or as latentfit's own file.
        merge: add what others learned to one. delete: remove one.
    name : str
        The name as listed, the beginning of it, or the path of a file.
    to : str or None
        For export: program or format.
    out : Path or None
        For export: the file to write.
    others : tuple of Path
        For merge: files of calibrations of the same space and VAE, such as another machine's.
    """
    from latentfit.calibration.cache import cached, calibrations_folder, found_calibration

    if action == "list":
        say(calibrations_folder())
        for path in cached():
            say(_line(path))
        return
    if not name:
        raise CalibrationError(f"calibrations {action}", expected="the name of one", got="none")
    path = found_calibration(name)
    if action == "export":
        _export(path, to, out)
    elif action == "merge":
        _merge(path, others)
    elif path not in cached():
        raise CalibrationError(
            f"calibrations delete {name!r}", expected="one that is listed", got="a file elsewhere",
            remedy="remove it as any file",
        )  # fmt: skip
    else:
        path.unlink()
        say(f"{path}: deleted")


def _line(path: Path) -> str:
    """What a calibration is of, in a line; of a file that cannot be read, why."""
    from latentfit.calibration.calibration import Calibration

    try:
        one = Calibration.open(path)
    except LatentfitError as error:
        return f"{path.stem}: {error.reason()}"
    n = one.n_pictures
    refused = f"; refused {', '.join(f'{count} {reason}' for reason, count in one.refused.items())}"
    return (
        f"{path.stem}: {one.space.title}, {one.vae or 'a VAE without a name'}, {n} picture{'' if n == 1 else 's'}"
        f"{refused if one.refused else ''}"
    )


def _export(path: Path, to: str | None, out: Path | None) -> None:
    from latentfit.calibration.calibration import Calibration
    from latentfit.formats.exporter import export
    from latentfit.formats.saved import save

    if out is None:
        raise CalibrationError("calibrations export", remedy=Remedy("say which file to write with {}", out=...))
    check_out(out)
    learned = Calibration.open(path)
    if to is None:
        say(f"{save(learned.approximation(), out)}: {learned.approximation().name}")
        return
    try:
        say(export(learned.approximation(), to, out))
    except ExportError as error:  # of programs that hold a matrix alone
        say(f"{to} cannot hold {learned.approximation().name!r} ({error.reason()}); the affine form is learned for it")
        say(export(Calibration.open(path, "affine").approximation(), to, out))


def _merge(path: Path, others: tuple[Path, ...]) -> None:
    from latentfit.calibration.calibration import Calibration

    if not others:
        raise CalibrationError("calibrations merge", remedy=f"name the files to add after {path.stem!r}")
    mine = Calibration.open(path)
    for other in others:
        before = mine.n_pictures
        twice = mine.merge(Calibration.open(other))
        say(f"{other}: {mine.n_pictures - before} pictures added, {twice} were there already")
    say(_line(path))
