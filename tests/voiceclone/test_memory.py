import platform
import subprocess
import sys

# Large blocks, each followed by a small one that would prevent a heap from shrinking after the large ones are freed.
PROGRAM = """
from pathlib import Path
from voiceclone.memory import keep_heap_small

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

is_supported = keep_heap_small()
before = resident_mb()
# Without a fixed threshold, glibc raises it to the size of the mapped block that is freed.
del (first := [bytes(20_000_000)])[:]
blocks = [(bytes([1]) * 1_000_000, bytes([1]) * 2_000) for _ in range(100)]
small = [small_block for _large, small_block in blocks]
del blocks, first
print(is_supported, round(resident_mb() - before))
"""


def test_large_free_blocks_are_returned_to_the_system() -> None:
    output = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout.split()  # noqa: S603
    if platform.libc_ver()[0] != "glibc":
        assert output[0] == "False"
        return
    assert output[0] == "True"
    assert int(output[1]) < 20
