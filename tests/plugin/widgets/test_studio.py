import pytest

from napari_hypermol.plugin.session import session_of
from napari_hypermol.plugin.widgets.studio import PAGES, open_page

pytestmark = pytest.mark.qt


def test_pages_share_the_session(make_napari_viewer_proxy, plugin):
    viewer = make_napari_viewer_proxy()
    studio = open_page(viewer, PAGES[-1].title)
    assert open_page(viewer, PAGES[0].title) is studio
    assert studio.session is session_of(viewer)
    assert {page.session for page in studio.pages.values()} == {studio.session}
    assert studio.minimumSizeHint().width() <= 420  # usable at 1280 x 800


def test_closing_lets_go(make_napari_viewer_proxy, plugin):
    viewer = make_napari_viewer_proxy()
    studio = open_page(viewer, PAGES[0].title)
    studio.close()
    assert all(page.viewer is None for page in studio.pages.values())
    viewer.dims.set_point(0, 3)  # nobody listens any more
