from __future__ import annotations

from pathlib import Path

from vms.template import memory_digest


def test_the_digest_of_memory_sees_every_byte_and_no_holes(tmp_path: Path) -> None:
    path = tmp_path / "memory"

    def digest(*written: tuple[int, bytes], size: int = 64 << 20) -> str:
        path.unlink(missing_ok=True)
        with path.open("wb") as file:
            file.truncate(size)
            for position, data in written:
                file.seek(position)
                file.write(data)
        return memory_digest(path)

    empty = digest()
    assert digest((3 << 20, bytes(4096))) == empty
    assert digest((0, b"x")) != empty
    assert (
        len(
            {
                empty,
                digest((5, b"x")),
                digest((6, b"x")),
                digest(((9 << 20) + 5, b"x")),
                digest((5, b"x"), size=63 << 20),
            }
        )
        == 5
    )
