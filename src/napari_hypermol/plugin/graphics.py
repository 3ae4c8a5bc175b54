"""Who draws: a graphics card, or the processor in its place (a remote desktop, a test machine)."""

from functools import cache

from qtpy.QtGui import QGuiApplication, QOffscreenSurface, QOpenGLContext
from vispy.gloo import gl

__all__ = ["draws_in_software", "is_software"]

# Drivers without a card: Mesa's three, Windows' two, Apple's.
_SOFTWARE = ("llvmpipe", "softpipe", "swrast", "microsoft basic render", "gdi generic", "software")


def is_software(driver: str) -> bool:
    """Whether OpenGL's name of a driver is that of one without a graphics card."""
    return any(name in driver.lower() for name in _SOFTWARE)


@cache
def draws_in_software() -> bool:
    """Whether this screen is drawn without a graphics card; False where nobody can tell.

    Asks OpenGL once, in a context of its own; from the main thread.
    """
    if QGuiApplication.instance() is None:
        return False
    surface, context = QOffscreenSurface(), QOpenGLContext()
    surface.create()
    if not (context.create() and context.makeCurrent(surface)):
        return False
    try:
        return is_software(str(gl.glGetParameter(gl.GL_RENDERER)))
    finally:
        context.doneCurrent()
