"""What the machine is that a benchmark ran on.

python bench/machine.py     prints it as JSON
"""

import compileall
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "openvino", "pillow", "regraft", "scikit-learn", "timm", "torch")
FEATURES = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "bf16",
)
"""Of a processor: those that decide how fast a network runs in which precision."""


def describe() -> dict[str, Any]:
    """Return the processor, its cores and features, the memory, the system and the versions."""
    return {
        "cpu": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "cores": cores(),
        "features": [name for name in FEATURES if name in _flags()],
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def compile_package() -> None:
    """Compile regraft, as an installation does.

    Where ``PYTHONDONTWRITEBYTECODE`` is set each process would do it, which takes half a second.
    """
    found = find_spec("regraft")
    assert found is not None, "regraft is installed"
    assert found.origin is not None, "regraft is a package"
    compileall.compile_dir(Path(found.origin).parent, quiet=2)


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpuinfo(key: str) -> str:
    """Return what Linux says of the first core; empty where it says nothing."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _flags() -> set[str]:
    return set((_cpuinfo("flags") or _cpuinfo("Features")).split())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


if __name__ == "__main__":
    print(json.dumps(describe(), indent=1))
