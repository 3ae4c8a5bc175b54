"""Hostile files: real and small good ones, spoilt at random, and what reads them.

Every case is a file or a folder and a function that reads it as the program would. It may succeed
or raise a `HypermolError`; anything else is a bug. `benchmarks/fuzz.py` makes tens of thousands.
"""

import bz2
import gzip
import io
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from napari_hypermol.io import (
    is_particle_file,
    is_stack,
    read_mask,
    read_particles,
    read_star,
    read_volume,
    write_stack,
    write_volume,
)
from napari_hypermol.io.mrc import open_stack
from napari_hypermol.runs.from_recipe import composite_of, poses_of, priors_of, stages_of
from napari_hypermol.runs.halfway import Halfway, read_halfway, write_halfway
from napari_hypermol.runs.lock import check_free
from napari_hypermol.runs.preview import read_preview
from napari_hypermol.runs.recipe_text import read_recipe
from napari_hypermol.runs.status import read_status, status_sentence
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.trace import read_trace

__all__ = ["KINDS", "Case", "Originals", "hostile_case", "originals"]

BOX = 16  # of recipes and masks here; what a recipe asks for is built at this size [pixels]
WORDS = (
    *("nan", "inf", "-inf", "1e999", "-1", "0", "", "9" * 5000, "1" * 19, "'", '"', "# no", "\0"),
    *("../secret/a.mrcs", "1@../secret/a.mrcs", "1@/dev/zero", "1@.", "1@" + "a" * 300, "@", "1@"),
    *("0@a.mrcs", "9" * 5000 + "@a.mrcs", "\u0663@a.mrcs", "\ufeff", "\ud7ff", "data_", "loop_"),
    *("_rlnImageName", "_", "data_particles", "stop_", "99999999999", "1e-320", "0x10", "1_0"),
)
KEYS = (
    *("particles", "components", "support", "ball", "mask", "center", "radius", "state", "basis"),
    *("degree", "dims", "classes", "trajectory", "turn", "translation", "axis", "pivot", "range"),
    *("share", "placed", "matrix", "symmetry", "tied", "priors", "latents", "schedule", "seed"),
    *("resolution", "sweeps", "posterior", "draws", "half_sets", "solvent_mask", "versions"),
)
SCALARS = (
    *("1", "0", "-1", "1e308", ".nan", ".inf", "1e400", "9" * 5000, "2001-99-99", "0x", "1:99:99"),
    *("!!python/object/apply:os.system [touch PWNED]", "!!binary x", "*a", "&a 1", "~", "[]", "{}"),
    *("'../secret/mask.mrc'", "mask.mrc", "/dev/zero", "D99", "C3", "true", "gpswf", "cosine"),
    *("[1, 2, 3]", "[" * 3000, "{a: " * 500, "'" + "x" * 2000 + "'", "\x07", "? {a: b}", "<<"),
    *("classes", "search", "refine", "auto", "histogram", "1000000000", "2", "20", "100"),
)
RECIPE = """\
particles: particles.star
components:
  body: {support: {mask: mask.mrc}}
  arm: {support: {ball: {center: [0, 0, 10], radius: 12}}, state: {basis: cosine, degree: 2}}
  lid:
    support: {ball: {radius: 10}}
    trajectory: {turn: {axis: [0, 0, 1], pivot: [0, 0, 0], range: 40}}
  copy: {share: arm, placed: {axis: [0, 0, 1], angle: 90}, state: {}}
priors:
  coefficients: {ridge: auto, solvent: 1.0, solvent_mask: mask.mrc}
  states: {smooth: 1.0, occupancy: {beta: [2, 2]}}
  contrast: {std: 0.1}
latents: {rotation: refine, shift: refine, contrast: refine}
schedule:
  - {resolution: 24, degree: 0, sweeps: 2}
  - {resolution: 20, degree: 2, sweeps: 2}
seed: 3
"""


class Case(NamedTuple):
    """One hostile input.

    Attributes
    ----------
    size : int
        Of all its files [bytes].
    read : callable
        Reads it.
    what : str
        How it was spoilt.
    """

    size: int
    read: Callable[[], object]
    what: str


class Originals(NamedTuple):
    """Good files to spoil.

    Attributes
    ----------
    folder : Path
        Small ones, made here.
    real : list of Path
        Of other programs; empty where there are none.
    run : Path or None
        A finished run folder.
    """

    folder: Path
    real: list[Path]
    run: Path | None


def originals(folder: Path, shared: Path | None = None, run: Path | None = None) -> Originals:
    """Make the small good files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    images = rng.normal(size=(5, 8, 8))
    write_stack(folder / "a.mrcs", images[:3], 1.5, overwrite=True)
    write_stack(folder / "b.mrcs", images[3:], 1.5, overwrite=True)
    (folder / "particles.star").write_text(_star(), encoding="utf-8")
    np.save(folder / "p.npy", _cs(5))
    (folder / "p.npy").rename(folder / "particles.cs")
    z = np.arange(BOX) - BOX // 2
    inside = (z[:, None, None] ** 2 + z[:, None] ** 2 + z**2 < 36).astype(np.float32)
    for name in ("mask.mrc", "mask.mrc.gz", "mask.mrc.bz2"):
        write_volume(folder / name, inside, 4.0, overwrite=True)
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    real = [] if shared is None else sorted((shared / "real").iterdir())
    return Originals(folder, real, run)


def hostile_case(kind: str, rng: np.random.Generator, folder: Path, good: Originals) -> Case:
    """A spoilt file of a kind of `KINDS`, in a new folder beside ``secret``, and its reader."""
    return KINDS[kind](rng, folder, good)


# ---- bytes and text ------------------------------------------------------------------------------


def _spoilt(raw: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """Bytes with one to three random changes."""
    done = []
    for _ in range(rng.integers(1, 4)):
        change = BYTE_CHANGES[rng.integers(len(BYTE_CHANGES))]
        raw = change(bytearray(raw or b"\0"), rng)
        done.append(change.__name__.strip("_"))
    return raw, "+".join(done)


def _flipped(raw: bytearray, rng: np.random.Generator) -> bytes:
    for _ in range(rng.integers(1, 9)):
        raw[rng.integers(len(raw))] ^= 1 << rng.integers(8)
    return bytes(raw)


def _cut(raw: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(raw[: rng.integers(len(raw) + 1)])


def _numbered(raw: bytearray, rng: np.random.Generator) -> bytes:
    """A word replaced by a number that somebody may believe in."""
    values = (0, -1, 2**31 - 1, -(2**31), 65_536, 65_535, 1 << 30, 1, 4, 0x7FC00000, 0x7F800000)
    at = 4 * int(rng.integers(max(min(len(raw), 1024) // 4, 1)))
    value = values[rng.integers(len(values))]
    raw[at : at + 4] = (value & 0xFFFFFFFF).to_bytes(4, ("little", "big")[rng.integers(2)])
    return bytes(raw)


def _overwritten(raw: bytearray, rng: np.random.Generator) -> bytes:
    at, n = rng.integers(len(raw)), rng.integers(1, 200)
    raw[at : at + n] = (b"\0", b"\xff", rng.bytes(1))[rng.integers(3)] * int(n)
    return bytes(raw)


def _repeated(raw: bytearray, rng: np.random.Generator) -> bytes:
    a, b = sorted(rng.integers(len(raw) + 1, size=2))
    return bytes(raw[:b] + raw[a:])


def _reordered(raw: bytearray, rng: np.random.Generator) -> bytes:
    n = 4 * (min(len(raw), 1024) // 4)
    raw[:n] = np.frombuffer(raw[:n], "<u4").byteswap().tobytes()
    return bytes(raw)


BYTE_CHANGES = (_flipped, _cut, _numbered, _overwritten, _repeated, _reordered)


def _spoilt_text(text: str, rng: np.random.Generator, words: tuple[str, ...]) -> tuple[bytes, str]:
    """Text with one to three changes to its words and lines, in one of several encodings."""
    lines, done = text.split("\n"), []
    for _ in range(rng.integers(1, 4)):
        at, change = int(rng.integers(len(lines))), int(rng.integers(8))
        word = words[rng.integers(len(words))]
        cells = lines[at].split()
        if change < 3 and cells:
            cell = cells[rng.integers(len(cells))]
            lines[at] = lines[at].replace(cell, word)
        elif change == 3:
            del lines[at : at + 1 + rng.integers(2)]
        elif change == 4:
            lines.insert(at, lines[rng.integers(len(lines))])
        elif change == 5:
            lines[at] = lines[at] + " " + word
        elif change == 6:
            lines.insert(at, word)
        else:
            lines = lines[: at + 1] * int(rng.integers(1, 50))
        lines = lines or [""]
        done.append(("word", "word", "word", "lost", "twice", "more", "line", "many")[change])
    encoding = ("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")[rng.integers(6)]
    text = ("\n", "\n", "\r\n", "\r")[rng.integers(4)].join(lines)
    return text.encode(encoding, errors="replace"), f"{'+'.join(done)} {encoding}"


def _chosen(rng: np.random.Generator, *items: Any) -> Any:
    return items[rng.integers(len(items))]


def _copied(folder: Path, good: Originals, *names: str) -> None:
    for name in names:
        shutil.copyfile(good.folder / name, folder / name)


def _size(folder: Path) -> int:
    return sum(p.lstat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


# ---- STAR ----------------------------------------------------------------------------------------


def _star() -> str:
    columns = "ImageName DefocusU DefocusV DefocusAngle AngleRot AngleTilt AnglePsi OriginXAngst"
    names = [*columns.split(), "OriginYAngst", "OpticsGroup", "RandomSubset"]
    rows = [
        f"{i}@{stack}.mrcs {10000 + i} {9000 + i} 45.0 {10 * i} 20.0 30.0 1.5 -3.0 {g} {g}"
        for i, stack, g in ((3, "a", 1), (1, "b", 2), (1, "a", 1), (2, "b", 2), (2, "a", 1))
    ]
    return (
        "\n# version 30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnOpticsGroupName #2\n"
        "_rlnAmplitudeContrast #3\n_rlnSphericalAberration #4\n_rlnVoltage #5\n"
        "_rlnImagePixelSize #6\n1 titan 0.1 2.7 300.0 1.5\n2 glacios 0.07 2.0 200.0 1.5\n\n"
        "data_particles\n\nloop_\n"
        + "".join(f"_rln{name} #{j}\n" for j, name in enumerate(names, 1))
        + "\n".join(rows)
        + "\n"
    )


def _star_case(rng: np.random.Generator, folder: Path, good: Originals) -> Case:
    stars = [good.folder / "particles.star", *(p for p in good.real if p.suffix == ".star")]
    path, source = folder / "particles.star", stars[max(0, rng.integers(-6, len(stars)))]
    _copied(folder, good, "a.mrcs", "b.mrcs")
    for stack in (p for p in good.real if p.suffix in (".mrcs", ".mrc") and p.stem == source.stem):
        (folder / stack.name).symlink_to(stack)  # as RELION users link their stacks
    text = source.read_text(encoding="utf-8")
    if (choice := rng.integers(10)) == 0:
        raw, what = _spoilt(text.encode(), rng)
    elif choice == 1:
        raw, what = _large_star(rng).encode(), "large"
    else:
        raw, what = _spoilt_text(text, rng, WORDS)
    path.write_bytes(raw)
    return Case(_size(folder), lambda: _read_particle_file(path), f"{source.name} {what}")


def _large_star(rng: np.random.Generator) -> str:
    """Much of one thing."""
    n = int(10 ** rng.uniform(2, 5.3))
    return str(
        _chosen(
            rng,
            "".join(f"data_{i}\n_a 1\n" for i in range(n // 5)),
            "data_x\nloop_\n" + "".join(f"_c{i}\n" for i in range(n // 5)),
            "data_x\n" + "".join(f"_c{i} 1\n" for i in range(n // 5)),
            "data_x\nloop_\n_rlnImageName\n_a\n" + "1@a.mrcs " * n,
            "data_x\nloop_\n_rlnImageName\n" + "1@a.mrcs\n" * n,
            "data_x\nloop_\n_rlnImageName\n" + "".join(f"1@{i}.mrcs\n" for i in range(n // 5)),
            "data_x\nloop_\n_a\n" + "'" * n,
            "data_" + "x" * n + "\n_a " + "y" * n,
            "data_x\nloop_\n_rlnImageName\n_rlnDefocusU\n" + f"1@a.mrcs {'z' * n}\n",
            "# a comment\n" * n,
        )
    )


def _read_particle_file(path: Path) -> object:
    """All that opening particles does, and one image."""
    is_particle_file(path)
    if path.suffix == ".star":
        read_star(path)
    file = read_particles(path)
    return file.particles.images[:1].compute(scheduler="synchronous")


# ---- .cs -----------------------------------------------------------------------------------------


def _cs(n: int) -> np.ndarray:
    fields: list[Any] = [
        *(("uid", "<u8"), ("blob/path", "S16"), ("blob/idx", "<u4"), ("blob/shape", "<u4", (2,))),
        *(("blob/psize_A", "<f4"), ("blob/sign", "<f4"), ("alignments3D/pose", "<f4", (3,))),
        *(("alignments3D/shift", "<f4", (2,)), ("alignments3D/split", "<u4")),
        *(("ctf/accel_kv", "<f4"), ("ctf/cs_mm", "<f4"), ("ctf/amp_contrast", "<f4")),
        *(("ctf/df1_A", "<f4"), ("ctf/df2_A", "<f4"), ("ctf/df_angle_rad", "<f4")),
    ]
    table = np.zeros(n, dtype=fields)
    table["blob/path"] = [b">a.mrcs", b"b.mrcs", b"a.mrcs", b"b.mrcs", b"a.mrcs"]
    table["blob/idx"] = [2, 0, 0, 1, 1]
    table["blob/psize_A"], table["blob/sign"], table["ctf/accel_kv"] = 1.5, -1, 300
    table["ctf/cs_mm"], table["ctf/amp_contrast"], table["ctf/df1_A"] = 2.7, 0.1, 10_000
    table["ctf/df2_A"], table["alignments3D/pose"] = 9000, 0.3
    return table


class _Payload:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch PWNED",)


def _cs_case(rng: np.random.Generator, folder: Path, good: Originals) -> Case:
    _copied(folder, good, "a.mrcs", "b.mrcs")
    sources = [good.folder / "particles.cs", *(p for p in good.real if p.suffix == ".cs")]
    source, path = sources[rng.integers(len(sources))], folder / "particles.cs"
    for stack in (p for p in good.real if p.suffix == ".mrc" and p.stem == source.stem):
        (folder / stack.name).symlink_to(stack)
    choice = rng.integers(8)
    if choice < 2:
        raw, what = _spoilt(source.read_bytes(), rng)
    elif choice < 4:
        raw, what = _lying_npy(source.read_bytes(), rng), "header"
    elif choice == 4:
        raw, what = _python_objects(rng), "objects"
    else:
        raw, what = _spoilt_fields(np.load(source, allow_pickle=False), rng)
    path.write_bytes(raw)
    return Case(_size(folder), lambda: _read_particle_file(path), f"{source.name} {what}")


def _lying_npy(raw: bytes, rng: np.random.Generator) -> bytes:
    """A header of numpy that says something else."""
    head, data = raw[10:].split(b"\n", 1)
    old = head.decode("latin-1")
    start = old.index("'shape':")
    words = ("(10000000000,)", "(-1,)", "()", "(2, 2)", "(0,)", "(1e3,)", "(" * 200, "None", "(5")
    shape = f"'shape': {words[rng.integers(len(words))]}, }}"
    new = _chosen(
        rng,
        old[:start] + shape,
        old.replace("<f4", _chosen(rng, "|O", "S4", "<U1", "<c8", "<i4", "<M8[s]", "|V4", "<f999")),
        old.replace("S", "S99999999"),
        old.replace("'descr'", "'desc'"),
        "{'descr': " + "[" * int(rng.integers(1, 4000)),
        "__import__('os').system('touch PWNED')",
        old.replace("(2,)", _chosen(rng, "(3,)", "(100000000,)", "(0,)", "(2, 2)")),
    ).encode("latin-1")
    return raw[:8] + (len(new) + 1).to_bytes(2, "little") + new + b"\n" + data


def _python_objects(rng: np.random.Generator) -> bytes:
    fields = [("blob/path", "S9"), ("blob/idx", "i4"), ("x", "O")]
    table = np.array([(b"a.mrcs", 1, _Payload())], fields)
    file = io.BytesIO()
    np.save(file, table, allow_pickle=True)
    packed = io.BytesIO()
    np.savez(packed, table=table[["blob/path", "blob/idx"]])
    return bytes(_chosen(rng, file.getvalue(), pickle.dumps(_Payload()), packed.getvalue()))


def _spoilt_fields(table: np.ndarray, rng: np.random.Generator) -> tuple[bytes, str]:
    """A field with other values, another type or shape, or without a field."""
    names = list(table.dtype.names)
    name = names[rng.integers(len(names))]
    fields = [(n, *table.dtype.fields[n][:1]) for n in names]
    at = names.index(name)
    what = f"{name} "
    change = rng.integers(4)
    if change == 0:
        base = table[name].dtype.kind
        values: Any = {"f": (np.nan, np.inf, -np.inf, 1e30, 0, -1), "u": (0, 2**32 - 1, 7)}.get(
            base, (b"\xff\xfe", b"../secret/a.mrcs", b"/dev/zero", b">", b"", b"a\nb", b"a b")
        )
        value = values[rng.integers(len(values))]
        table[name][rng.integers(len(table))] = value
        what += repr(value)
    elif change == 1:
        table = table[[n for n in names if n != name]]
        what += "missing"
    else:
        kinds = ("S3", "<U3", "<i8", "<f8", "?", "<c8", "<M8[s]", "V4", "<f2", [("y", "i4")])
        kind = _chosen(rng, *kinds)
        shape = _chosen(rng, (), (1,), (2,), (4,), (3, 3), (0,))
        fields[at] = (name, kind, shape)
        new = np.zeros(len(table), dtype=fields)
        for n in names:
            if n != name:
                new[n] = table[n]
        table, what = new, f"{what}{kind} {shape}"
    if rng.random() < 0.1:
        table = _chosen(rng, table[:0], table[:4].reshape(2, 2), table[0], np.tile(table, 20))
    file = io.BytesIO()
    np.save(file, table)
    return file.getvalue(), what


# ---- MRC -----------------------------------------------------------------------------------------


def _volumes(good: Originals) -> list[Path]:
    small = [p for p in good.real if p.suffix in (".mrc", ".map") and p.stat().st_size < 200_000]
    return [good.folder / "mask.mrc", good.folder / "a.mrcs", *small]


def _mrc_case(rng: np.random.Generator, folder: Path, good: Originals) -> Case:
    sources = _volumes(good)
    source = sources[rng.integers(len(sources))]
    path = folder / f"mask{source.suffix}"
    raw, what = _spoilt(source.read_bytes(), rng)
    if rng.random() < 0.3:
        raw, what = _announced(raw, rng), "sizes"
    path.write_bytes(raw)
    return Case(_size(folder), lambda: _read_volume_file(path), f"{source.name} {what}")


def _announced(raw: bytes, rng: np.random.Generator) -> bytes:
    """Sizes, mode and offset that the file may not keep."""
    words = np.frombuffer(raw[:1024].ljust(1024, b"\0"), "<i4").copy()
    sizes = (0, 1, 2, 16, 1000, 65_536, 65_537, 2**31 - 1, -1)
    words[:3] = rng.choice(sizes, 3)
    words[3] = rng.choice((0, 1, 2, 3, 4, 6, 12, 101, -1))
    words[9] = rng.choice((0, 1, 16, 2**31 - 1))
    words[22] = rng.choice((0, 1, 401, 630))
    words[23] = rng.choice((0, 0, 1024, 2**31 - 1, -1))
    return words.tobytes() + raw[1024:]


def _packed_case(rng: np.random.Generator, folder: Path, good: Originals) -> Case:
    sources = _volumes(good)
    raw = sources[rng.integers(len(sources))].read_bytes()
    suffix, pack = _chosen(rng, (".gz", gzip.compress), (".bz2", bz2.compress))
    change = rng.integers(5)
    if change == 0:
        raw, what = _spoilt(pack(raw), rng)
    elif change == 1:
        inner, what = _spoilt(raw, rng)
        raw = pack(inner)
    elif change == 2:
        raw, what = pack(_announced(raw, rng)), "sizes"
    elif change == 3:  # a bomb, with or without a header that announces it
        n = int(10 ** rng.uniform(5, 7.5))
        header = _announced(raw, rng)[:1024] if rng.random() < 0.5 else raw[:1024]
        raw, what = pack(header + bytes(n)), f"bomb {n}"
    else:
        raw, what = pack(pack(raw)), "twice"
    path = folder / f"mask{_chosen(rng, '.mrc', '.mrcs')}{suffix}"
    path.write_bytes(raw)
    return Case(_size(folder), lambda: _read_volume_file(path), what)


def _read_volume_file(path: Path) -> object:
    """As a mask, a volume and a stack."""
    failures = []
    for read in (
        lambda: is_stack(path),
        lambda: read_volume(path),
        lambda: read_mask(path, BOX, 4.0),
        lambda: np.asarray(open_stack(path)[:2]),
    ):
        try:
            read()
        except Exception as problem:  # the worst of them is judged by the caller
            failures.append(problem)
    for problem in failures:
        if not _is_expected(problem):
            raise problem
    if failures:
        raise failures[0]
    return None


def _is_expected(problem: BaseException) -> bool:
    from napari_hypermol.errors import HypermolError

    return isinstance(problem, HypermolError)


# ---- recipes -------------------------------------------------------------------------------------


def _recipe_case(rng: np.random.Generator, folder: Path, good: Originals) -> Case:
    _copied(folder, good, "mask.mrc")
    path = folder / "recipe.yaml"
    change = rng.integers(10)
    if change < 6:
        raw, what = _spoilt_text(RECIPE, rng, SCALARS + KEYS)
    elif change < 8:
        raw, what = _yaml_value(rng, 0).encode(), "grown"
    elif change == 8:
        raw, what = _spoilt(RECIPE.encode(), rng)
    else:
        raw, what = _yaml_bomb(rng).encode(), "bomb"
    path.write_bytes(raw)
    return Case(_size(folder), lambda: _read_recipe_file(path), what)


def _yaml_value(rng: np.random.Generator, depth: int) -> str:
    """A flow of keys that recipes know, with any values."""
    kind = rng.integers(4 if depth < 5 else 1)
    if kind == 0:
        return SCALARS[rng.integers(len(SCALARS))]
    values = [_yaml_value(rng, depth + 1) for _ in range(rng.integers(0, 4))]
    if kind == 1:
        return f"[{', '.join(values)}]"
    return "{" + ", ".join(f"{KEYS[rng.integers(len(KEYS))]}: {v}" for v in values) + "}"


def _yaml_bomb(rng: np.random.Generator) -> str:
    n = int(rng.integers(5, 40))
    laughs = "a0: &a0 [x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, n)
    )
    merges = "a0: &a0 {x: 1, y: 2}\n" + "".join(
        f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, n)
    )
    many = "".join(f"  c{i}: {{support: {{ball: {{radius: 20}}}}}}\n" for i in range(n * 100))
    return str(
        _chosen(
            rng,
            laughs + "components: *a4\n",
            laughs + f"components: *a{n - 1}\n",
            merges + f"components: *a{n - 1}\n",
            "components: &a {b: *a}\n",
            "components: " + "[" * 10 ** int(rng.integers(1, 6)),
            "components: " + "{a: " * 10 ** int(rng.integers(1, 5)),
            "- " * 10 ** int(rng.integers(1, 5)),
            "components:\n" + many,
            "components: {'../../x': {support: {mask: mask.mrc}}}\n",
            "components: {a: {support: {mask: ../secret/mask.mrc}}}\n",
            "components: {a: {support: {ball: {radius: 20}}, symmetry: D99}}\n",
            "seed: " + "9" * 10 ** int(rng.integers(1, 6)),
            "x" * 10 ** int(rng.integers(1, 7)),
            "schedule:\n" + "- {resolution: 30, degree: 1}\n" * n * 100,
        )
    )


def _read_recipe_file(path: Path) -> object:
    """All that a run makes of it before it begins."""
    recipe = read_recipe(path)
    composite = composite_of(recipe, path.parent, BOX, 4.0)
    priors_of(recipe, path.parent, BOX, 4.0)
    stages = stages_of(recipe, composite, 4.0)
    composite.discretise(stages[0].max_radius)
    return poses_of(recipe)


# ---- run folders ---------------------------------------------------------------------------------


def _run_case(rng: np.random.Generator, folder: Path, good: Originals) -> Case:
    assert good.run is not None, "a run folder to spoil is needed"
    path = folder / "run"
    shutil.copytree(good.run, path, ignore=shutil.ignore_patterns("volumes", "report.html"))
    _interrupted(path)
    what = RUN_CHANGES[rng.integers(len(RUN_CHANGES))](path, rng)
    return Case(_size(folder), lambda: _read_run_folder(path), what)


def _interrupted(path: Path) -> None:
    """The files of a run that is still at work."""
    holder = {"pid": os.getpid(), "host": "elsewhere", "since": 1.0}
    (path / "run.lock").write_text(json.dumps(holder))
    halfway = Halfway("stage", {"position": 1}, {"theta": np.zeros(3)})
    write_halfway(path, halfway)
    facts = {"position": 1, "sweep": 1, "max_radius": 6.0, "max_degree": 1, "trajectories": []}
    np.savez(path / "preview.npz", theta=np.zeros(3), facts=np.array(json.dumps(facts)))


def _spoilt_file(path: Path, rng: np.random.Generator) -> str:
    """Bytes of any file."""
    files = sorted(p for p in path.rglob("*") if p.is_file())
    chosen = files[rng.integers(len(files))]
    raw, what = _spoilt(chosen.read_bytes(), rng)
    chosen.write_bytes(raw)
    return f"{chosen.relative_to(path)} {what}"


def _lying_json(path: Path, rng: np.random.Generator) -> str:
    """One value of run.json or metrics.json."""
    name = _chosen(rng, "run.json", "run.json", "metrics.json", "status.json", "run.lock")
    values = json.loads((path / name).read_text())
    key = list(values)[rng.integers(len(values))]
    new = _chosen(
        rng, None, -1, 0, 10**18, 10**400, 1e308, float("nan"), float("inf"), "x", [], {}, True,
        "../secret/particles.star", "/dev/zero", "\0", [[[1]]], 7.5,
    )  # fmt: skip
    values[key] = new
    if (choice := rng.integers(6)) == 0:
        text = "[" * 100_000
    elif choice == 1:
        del values[key]
        text = json.dumps(values)
    else:
        text = json.dumps(values)
    (path / name).write_text(text)
    return f"{name} {key} {str(new)[:20]}"


def _lying_zarr(path: Path, rng: np.random.Generator) -> str:
    """One value of zarr's own description of a group or an array."""
    files = sorted((path / "store.zarr").rglob("zarr.json"))
    chosen = files[rng.integers(len(files))]
    values = json.loads(chosen.read_text())
    where = _places(values)
    at, key = where[rng.integers(len(where))]
    at[key] = _chosen(
        rng, None, -1, 0, 10**12, [10**12], [1, 2, 3], "x", [], {}, 2, 1e308, "NaN", "object",
        "variable_length_bytes", [{"name": "numcodecs.pickle", "configuration": {}}],
        {"name": "pickle"}, "../../../secret", True, "float64", "int8", [60], [[[]]],
    )  # fmt: skip
    text = json.dumps(values) if rng.random() < 0.95 else "[" * 100_000
    chosen.write_text(text)
    return f"{chosen.relative_to(path)} {key}={str(at[key])[:40]}"


def _places(values: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) inside a JSON value."""
    keys = values.keys() if isinstance(values, dict) else range(len(values))
    here = [(values, key) for key in keys]
    inner = [values[key] for key in keys if isinstance(values[key], dict | list)]
    return here + [place for value in inner for place in _places(value)]


def _old_zarr(path: Path, rng: np.random.Generator) -> str:
    """An array in zarr's second format, whose filters may be pickles."""
    arrays = sorted((path / "store.zarr").rglob("noise"))
    target = arrays[rng.integers(len(arrays))]
    shutil.rmtree(target)
    target.mkdir()
    meta = {
        "zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "compressor": None,
        "fill_value": 0, "order": "C", "filters": [{"id": "pickle", "protocol": 5}],
    }  # fmt: skip
    (target / ".zarray").write_text(json.dumps(meta))
    (target / "0").write_bytes(pickle.dumps(_Payload()))
    return f"{target.relative_to(path)} pickled"


def _linked(path: Path, rng: np.random.Generator) -> str:
    """A file or folder of the run is a link out of it."""
    secret = path.parent.parent / "secret"
    name = _chosen(rng, "recipe.yaml", "run.json", "metrics.json", "particles.star", "store.zarr")
    target = path / name
    moved = secret / f"link_{name}"
    if moved.is_dir():
        shutil.rmtree(moved)
    moved.unlink(missing_ok=True)
    target.rename(moved)
    target.symlink_to(moved)
    return f"{name} linked"


def _removed(path: Path, rng: np.random.Generator) -> str:
    places = sorted(path.rglob("*"))
    chosen = places[rng.integers(len(places))]
    shutil.rmtree(chosen) if chosen.is_dir() else chosen.unlink()
    return f"{chosen.relative_to(path)} removed"


def _hostile_recipe(path: Path, rng: np.random.Generator) -> str:
    text = (path / "recipe.yaml").read_text(encoding="utf-8")
    raw, what = _spoilt_text(text, rng, SCALARS + KEYS)
    (path / "recipe.yaml").write_bytes(raw)
    return f"recipe.yaml {what}"


def _hostile_particles(path: Path, rng: np.random.Generator) -> str:
    raw, what = _spoilt_text((path / "particles.star").read_text(encoding="utf-8"), rng, WORDS)
    (path / "particles.star").write_bytes(raw)
    return f"particles.star {what}"


def _strange_snapshot(path: Path, rng: np.random.Generator) -> str:
    """Names that look like snapshots."""
    name = _chosen(rng, "snapshot_x", "snapshot_", "snapshot_999", "snapshot_-01", "snapshot_1e3")
    (path / "store.zarr" / name).mkdir()
    return name


RUN_CHANGES = (
    *(_spoilt_file, _spoilt_file, _lying_json, _lying_zarr, _lying_zarr, _old_zarr, _linked),
    *(_removed, _hostile_recipe, _hostile_particles, _strange_snapshot),
)


def _read_run_folder(path: Path) -> object:
    """All that opening a run reads; the first complaint is raised when all have been heard."""
    run = Run.open(path)
    failures = []
    for read in (
        lambda: run.recipe,
        lambda: run.snapshot,
        lambda: run.metrics,
        lambda: run.read_poses(),
        lambda: run.posterior,
        lambda: read_halfway(path),
        lambda: read_preview(run),
        lambda: read_trace(path),
        lambda: (status := read_status(path)) and status_sentence(status),
        lambda: check_free(path),
        lambda: run.maps.volume([0.5] * len(run.maps.axes)),
    ):
        try:
            read()
        except Exception as problem:  # the worst of them is judged by the caller
            failures.append(problem)
    for problem in failures:
        if not _is_expected(problem):
            raise problem
    if failures:
        raise failures[0]
    return run


KINDS: dict[str, Callable[[np.random.Generator, Path, Originals], Case]] = {
    "star": _star_case,
    "cs": _cs_case,
    "mrc": _mrc_case,
    "mrc.gz": _packed_case,
    "recipe": _recipe_case,
    "run": _run_case,
}
