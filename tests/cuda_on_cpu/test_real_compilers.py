"""All code for a device, compiled by the compilers of a real one where they are."""

import shutil
import subprocess

import pytest

from napari_hypermol.bases import mixing_cuda
from napari_hypermol.posterior import (
    gridded_weights_cuda,
    likelihood_cuda,
    pose_information_cuda,
)
from napari_hypermol.samplers import pose_metropolis_cuda

SOURCES = {
    "likelihood, tiles of 4": lambda: likelihood_cuda.device_source(4),
    "likelihood, tiles of 8": lambda: likelihood_cuda.device_source(8),
    "gridded weights of one": lambda: gridded_weights_cuda.device_source(1),
    "gridded weights of two": lambda: gridded_weights_cuda.device_source(2),
    "gridded weights of many": lambda: gridded_weights_cuda.device_source(4),
    "how well poses are told": pose_information_cuda.device_source,
    "poses": lambda: pose_metropolis_cuda.device_source(1.2),
    "mixing of one": lambda: mixing_cuda.device_source(1),
    "mixing of many": lambda: mixing_cuda.device_source(mixing_cuda.MOST_FUNCTIONS),
}


def _nvrtc():
    """The compiler that CuPy calls at run time; it needs no GPU."""
    nvrtc = pytest.importorskip("cupy_backends.cuda.libs.nvrtc")
    try:
        nvrtc.getVersion()
    except RuntimeError as reason:
        pytest.skip(f"CuPy finds no NVRTC: {reason}")

    def compile_it(source, folder):
        program = nvrtc.createProgram(source, "code.cu", (), ())
        try:
            nvrtc.compileProgram(program, ("-std=c++17", "--gpu-architecture=compute_90"))
        except nvrtc.NVRTCError:
            raise RuntimeError(nvrtc.getProgramLog(program)) from None
        finally:
            log = nvrtc.getProgramLog(program)
            nvrtc.destroyProgram(program)
        assert not log.strip("\0\n ")

    return compile_it


def _nvcc():
    if not shutil.which("nvcc"):
        pytest.skip("nvcc is not on the PATH")

    def compile_it(source, folder):
        (folder / "code.cu").write_text(source)
        command = ["nvcc", "--ptx", "-arch=compute_80", "-std=c++17", "-Werror=all-warnings"]
        command += ["-o", str(folder / "code.ptx"), str(folder / "code.cu")]
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode:
            raise RuntimeError(answer.stderr)

    return compile_it


COMPILERS = pytest.mark.parametrize("compiler", [_nvrtc, _nvcc], ids=["nvrtc", "nvcc"])


@COMPILERS
@pytest.mark.parametrize("name", SOURCES)
def test_it_compiles(compiler, name, tmp_path):
    compiler()(SOURCES[name](), tmp_path)


@COMPILERS
def test_structs_packed_differently_do_not_compile(compiler, tmp_path):
    compile_it, source = compiler(), likelihood_cuda.device_source(4)
    assert "VIEW_BYTES 48" in source
    with pytest.raises(RuntimeError, match="packed differently"):
        compile_it(source.replace("VIEW_BYTES 48", "VIEW_BYTES 40"), tmp_path)
