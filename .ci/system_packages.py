"""Install the system libraries that Qt and a screenless X server need, and g++, where allowed.

Python packages bring Qt, but not the X and OpenGL libraries under it; g++ compiles the CUDA code
for its tests without a GPU. With apt-get, and as root or with passwordless sudo, this script
installs the missing ones; elsewhere it says in one sentence what to do and leaves the machine
alone. It never asks a question. It is run by tox and ends well even where nothing can be
installed: the tests that need what is missing are then left out, with the reason.
"""

import ctypes
import os
import shutil
import subprocess
import sys

# What the loader must find, and the Debian package that has it. Found with ldd on Qt 6.11, its xcb
# plugin and vispy; libgl1 brings Mesa's software renderer.
LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libOpenGL.so.0": "libopengl0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
APT = ("apt-get", "--option", "DPkg::Lock::Timeout=120", "--option", "Acquire::Retries=3")
INSTALL = ("install", "--yes", "--no-install-recommends")
PATIENCE = 600  # [s] for one call of apt-get; a slow mirror needs about 60


def is_loadable(library: str) -> bool:
    """Ask the dynamic loader, which knows more places than any package manager."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def missing() -> dict[str, str]:
    """Find what is not there, each with its Debian package."""
    lacks = {name: package for name, package in LIBRARIES.items() if not is_loadable(name)}
    if not (os.environ.get("DISPLAY") or shutil.which("Xvfb")):
        lacks["Xvfb"] = "xvfb"
    if not shutil.which("g++"):
        lacks["g++"] = "g++"
    return lacks


def root_prefix() -> tuple[str, ...] | None:
    """Return what makes a command run as root; None where that is not allowed."""
    if os.geteuid() == 0:
        return ()
    sudo = ("sudo", "--non-interactive")
    if not shutil.which("sudo"):
        return None
    asked = subprocess.run((*sudo, "true"), stdin=subprocess.DEVNULL, capture_output=True)
    return sudo if asked.returncode == 0 else None


def install(packages: list[str], prefix: tuple[str, ...]) -> None:
    """Install without a question; whether it worked is for the loader to say."""
    quiet = ("env", "DEBIAN_FRONTEND=noninteractive")
    for command in (("update",), (*INSTALL, *packages)):
        try:
            subprocess.run(
                (*prefix, *quiet, *APT, *command), stdin=subprocess.DEVNULL, timeout=PATIENCE
            )
        except subprocess.TimeoutExpired:
            return


def main() -> str:
    """Do what can be done; return the sentence for the user, empty when all is there."""
    if sys.platform != "linux" or not (lacks := missing()):
        return ""
    if not shutil.which("apt-get"):
        return (
            "Tests that need these are left out; with your system's package manager, install "
            + ", ".join(lacks)
        )
    prefix = root_prefix()
    if prefix is not None:
        install(list(lacks.values()), prefix)
        lacks = missing()
    if not lacks:
        return ""
    return (
        "Tests that need system packages are left out; as root, run: "
        f"apt-get update && apt-get {' '.join(INSTALL)} {' '.join(lacks.values())}"
    )


if __name__ == "__main__":
    sentence = main()
    if sentence:
        sys.stderr.write(sentence + "\n")
