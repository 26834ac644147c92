"""Find Chromium, or install Debian's; run as a script by `make test-browser`, and imported by the tests' fixtures."""

import os
import shutil
import subprocess
import sys

VARIABLE = "LATENTFIT_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WAYS = f"install it (Debian: `sudo apt-get install chromium`), or name one with {VARIABLE}=/path/to/chromium"


def find() -> str | None:
    """Path of the browser: the one that is named, else the first of `NAMES` on the path."""
    if named := os.environ.get(VARIABLE):
        return shutil.which(named)
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def main() -> int:
    """0 when a browser is there, which apt-get may have to bring; 1 with what to do."""
    if os.environ.get(VARIABLE) and not find():
        print(f"{VARIABLE}={os.environ[VARIABLE]}: no such program; {WAYS}", file=sys.stderr)
        return 1
    if not find() and (command := _as_root()) and shutil.which("apt-get"):
        print("no Chromium found: installing Debian's", flush=True)
        quiet = ["-qq", "-o", "Dpkg::Use-Pty=0"]
        for step in (["update"], ["install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core"]):
            environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            if subprocess.run([*command, "apt-get", *quiet, *step], env=environment, check=False).returncode:
                break
    path = find()
    print(f"browser: {path}" if path else f"no Chromium found, and none could be installed; {WAYS}", file=sys.stderr)
    return 0 if path else 1


def _as_root() -> list[str] | None:
    """What to put before a command that must run as root; None when that cannot be had without a password."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return ["env"]
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n"]
    return None


if __name__ == "__main__":
    sys.exit(main())
