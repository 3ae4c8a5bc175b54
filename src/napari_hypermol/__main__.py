"""``python -m napari_hypermol``: the same as ``hypermol``."""

from napari_hypermol.cli import main

if __name__ == "__main__":
    main()
