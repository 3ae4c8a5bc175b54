"""With or without a graphics card."""

import pytest

from napari_hypermol.plugin.graphics import draws_in_software, is_software


@pytest.mark.parametrize(
    ("renderer", "expected"),
    [
        ("llvmpipe (LLVM 15.0.6, 256 bits)", True),
        ("Apple Software Renderer", True),
        ("GDI Generic", True),
        ("NVIDIA GeForce RTX 4090/PCIe/SSE2", False),
        ("Mesa Intel(R) UHD Graphics 620 (KBL GT2)", False),
        ("Apple M2", False),
    ],
)
def test_names_of_renderers(renderer, expected):
    assert is_software(renderer) == expected


@pytest.mark.qt
def test_this_screen_can_be_asked(qapp):
    draws_in_software.cache_clear()
    assert draws_in_software() in (True, False)
