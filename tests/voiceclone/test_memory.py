import platform
import subprocess
import sys

# Large blocks with a small one behind each, which would keep a heap from shrinking when the large ones are free.
PROGRAM = """
from pathlib import Path
from voiceclone.memory import keep_heap_small

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

is_kept = keep_heap_small()
before = resident_mb()
# Freeing a mapped block raises glibc's own threshold to its size, unless it was set.
del (first := [bytes(20_000_000)])[:]
blocks = [(bytes([1]) * 1_000_000, bytes([1]) * 2_000) for _ in range(100)]
small = [behind for _large, behind in blocks]
del blocks, first
print(is_kept, round(resident_mb() - before))
"""


def test_large_blocks_go_back_to_the_system_when_they_are_free() -> None:
    output = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout.split()  # noqa: S603
    if platform.libc_ver()[0] != "glibc":
        assert output[0] == "False"
        return
    assert output[0] == "True"
    assert int(output[1]) < 20
