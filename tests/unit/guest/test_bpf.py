from __future__ import annotations

from guest.lab import bpf


def test_an_instruction_is_eight_bytes_with_both_registers_in_one() -> None:
    assert bpf.instruction(0x7B, 10, 1, -8) == b"\x7b\x1a\xf8\xff\0\0\0\0"
    assert bpf.instruction(0xB7, 0, value=-1) == b"\xb7\0\0\0\xff\xff\xff\xff"


def test_a_call_names_a_function_of_the_first_module_by_its_type() -> None:
    assert bpf.call(258) == b"\x85\x20\1\0\2\1\0\0"
