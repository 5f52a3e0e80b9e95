"""All hostile files with their expected outcomes. They are the same in every run."""

from __future__ import annotations

from tests.hostile import crafted, files, playlists
from tests.hostile.files import HostileFile
from tests.hostile.playlists import Canaries


def corpus(canaries: Canaries) -> list[HostileFile]:
    """Return more than 700 files. Files that refer to other resources refer to `canaries`."""
    families = [
        files.honest(),
        files.tricky_names(),
        files.quiet_files(),
        playlists.playlists(canaries),
        playlists.addresses(canaries),
        playlists.references(canaries),
        playlists.strangers(),
        playlists.polyglots(canaries),
        crafted.truncations(),
        crafted.bit_flips(),
        crafted.shuffled(),
        crafted.lies(),
        crafted.bombs(),
        crafted.protected(),
        crafted.heavy(),
    ]
    return [file for family in families for file in family]
