import pytest

from napari_hypermol.plugin.widgets.guide import GuideWindow
from napari_hypermol.plugin.widgets.studio import PAGES, open_page

pytestmark = pytest.mark.qt


@pytest.mark.parametrize("title", [page.title for page in PAGES])
def test_help_opens_its_page_of_the_guide(make_napari_viewer_proxy, plugin, title, qtbot):
    page = open_page(make_napari_viewer_proxy(), title).pages[title]
    assert page.purpose
    page.help_button.click()
    window = page.window().findChild(GuideWindow)
    assert window.browser.toPlainText().strip()
    assert window.browser.source().fileName() == page.guide
    window.close()
