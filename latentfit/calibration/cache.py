"""Calibrations in the user's cache folder: one file for each space and VAE."""

from pathlib import Path

from latentfit.calibration.calibration import Calibration
from latentfit.errors import BadFileError, CalibrationError
from latentfit.latents.spaces import LatentSpace
from latentfit.runtime.storage import cache_folder

ENDING = ".calibration"


def calibrations_folder() -> Path:
    """The folder; it need not be there yet."""
    return cache_folder() / "calibrations"


def cached() -> list[Path]:
    """The files that are there, sorted by name."""
    folder = calibrations_folder()
    return sorted(folder.glob(f"*{ENDING}")) if folder.is_dir() else []


def kept_for(space: LatentSpace, fingerprint: str, vae: str) -> Calibration:
    """The calibration of a space and VAE, made where there is none.

    Parameters
    ----------
    space : LatentSpace
    fingerprint : str
        Fingerprint of the VAE; its first digits are in the file's name.
    vae : str
        The VAE's name, for people.

    Raises
    ------
    BadFileError
        When the file that is there is damaged, or cannot be written.
    """
    path = calibrations_folder() / f"{space.name}-{fingerprint[:16]}{ENDING}"
    try:
        return Calibration(space, path=path, fingerprint=fingerprint, vae=vae)
    except OSError as error:
        raise BadFileError(
            f"cannot be made ({error.strerror or error})", place=path,
            remedy="name a folder that can be written to in the environment variable LATENTFIT_CACHE",
        ) from error  # fmt: skip


def found_calibration(name: str) -> Path:
    """A file of the folder by its name, or by the beginning of it where that is one's alone; or any path.

    Raises
    ------
    CalibrationError
        When there is none, or several begin so.
    """
    if Path(name).is_file():
        return Path(name)
    there = cached()
    found = [path for path in there if path.stem == name] or [path for path in there if path.name.startswith(name)]
    if len(found) != 1:
        raise CalibrationError(
            f"calibration {name!r}",
            expected=f"one of {', '.join(path.stem for path in there)}"
            if there
            else "one that was learned, of which there is none",
            got="several that begin so" if found else "none of them",
            remedy="give the whole name, or the path of a file",
        )
    return found[0]
