from __future__ import annotations

from pathlib import Path

import pytest

from apps.speech.local.machine import available_memory, processor

GIGABYTE = 10**9


def write(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def system(kilobytes: int) -> dict[str, str]:
    return {"proc/meminfo": f"MemTotal: 99999999 kB\nMemAvailable:   {kilobytes} kB\n"}


def test_without_containers_it_is_what_the_system_has_left(tmp_path: Path) -> None:
    assert available_memory(write(tmp_path, system(4_000_000))) == 4_000_000 * 1024


def test_the_limit_of_a_container_counts_without_files_that_the_system_can_forget(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/app"
    files = {
        "proc/self/cgroup": "0::/app/web\n",
        f"{group}/memory.max": f"{3 * GIGABYTE}\n",
        f"{group}/memory.current": f"{2 * GIGABYTE}\n",
        f"{group}/memory.stat": f"anon 5\ninactive_file {GIGABYTE // 2}\nactive_file 7\n",
        f"{group}/web/memory.max": "max\n",
        f"{group}/web/memory.current": "17\n",
    }
    assert available_memory(write(tmp_path, system(99_000_000) | files)) == GIGABYTE * 3 // 2


def test_the_first_version_of_cgroups_counts_too(tmp_path: Path) -> None:
    # In a container the path is the one outside, and the folder is the container's own.
    group = "sys/fs/cgroup/memory"
    files = {
        "proc/self/cgroup": "5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/\n",
        f"{group}/memory.limit_in_bytes": f"{2 * GIGABYTE}\n",
        f"{group}/memory.usage_in_bytes": f"{GIGABYTE}\n",
        f"{group}/memory.stat": "inactive_file 3\ntotal_inactive_file 1000\n",
    }
    assert available_memory(write(tmp_path, system(99_000_000) | files)) == GIGABYTE + 1000


def test_a_limit_that_is_exceeded_leaves_nothing(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/memory.max": "1000\n",
        "sys/fs/cgroup/memory.current": "2000\n",
    }
    assert available_memory(write(tmp_path, files)) == 0


def test_a_real_machine_has_some_memory_and_a_processor() -> None:
    memory = available_memory()
    assert memory is None or memory > 10**7
    name, _times, cores = processor().rpartition(" × ")
    assert name
    assert int(cores) >= 1


@pytest.mark.parametrize("meminfo", ["", "MemTotal: 5 kB\n"])
def test_without_a_figure_of_the_system_it_is_half_of_all_memory_or_unknown(tmp_path: Path, meminfo: str) -> None:
    memory = available_memory(write(tmp_path, {"proc/meminfo": meminfo}))
    assert memory is None or memory > 10**7
