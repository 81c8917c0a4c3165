"""BPF programs from single instructions: loaded, and run once on an empty frame.

Source: bpf(2), include/uapi/linux/bpf.h.
"""

from __future__ import annotations

import ctypes
import os
import struct

from guest.linux import errno_name

TC, XDP = 3, 6
"""Kinds of programs."""

_PROG_LOAD, _TEST_RUN, _INFO, _BTF_FD, _BTF_NEXT = 5, 10, 15, 19, 23
_SYSCALL = 321  # of x86-64
_KFUNC = 2
_LOG = 1 << 16
_FRAME = 64

_libc = ctypes.CDLL(None, use_errno=True)


class RefusedProgram(Exception):
    """The kernel does not take a program; the message is the errno's name and its verifier's last
    words.
    """


def instruction(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    """One instruction."""
    return struct.pack("=BBhi", code, source << 4 | target, offset, value)


def call(function: int) -> bytes:
    """Calls a function of the module that the program is loaded with, by the number of its type."""
    return instruction(0x85, source=_KFUNC, offset=1, value=function)


def run(kind: int, program: bytes, module: str) -> int:
    """Loads a program that calls functions of a module, runs it in this network namespace and
    returns what it returned. Raises RefusedProgram, or OSError if the run itself is refused.
    """
    descriptor = _module(module)
    try:
        loaded = _load(kind, program, descriptor)
    finally:
        os.close(descriptor)
    try:
        data = ctypes.create_string_buffer(_FRAME)
        attributes = bytearray(struct.pack("=IIIIQQ", loaded, 0, _FRAME, 0, ctypes.addressof(data), 0))
        attributes += bytes(64)
        _bpf(_TEST_RUN, attributes)
        (result,) = struct.unpack_from("=i", attributes, 4)
        return int(result)
    finally:
        os.close(loaded)


def _load(kind: int, program: bytes, module: int) -> int:
    code, licence = ctypes.create_string_buffer(program), ctypes.create_string_buffer(b"GPL")
    log = ctypes.create_string_buffer(_LOG)
    # The first of the descriptors stands for vmlinux and is not looked at.
    descriptors = ctypes.create_string_buffer(struct.pack("=ii", 0, module))
    attributes = bytearray(152)
    where = (ctypes.addressof(code), ctypes.addressof(licence), 1, _LOG, ctypes.addressof(log))
    struct.pack_into("=IIQQIIQ", attributes, 0, kind, len(program) // 8, *where)
    struct.pack_into("=Q", attributes, 120, ctypes.addressof(descriptors))
    try:
        return _bpf(_PROG_LOAD, attributes)
    except OSError as error:
        said = [line for line in log.value.decode(errors="replace").splitlines() if line[:9] != "processed"]
        raise RefusedProgram(": ".join([errno_name(error), *said[-1:]])) from error


def _module(name: str) -> int:
    """A descriptor of a module's BTF. Raises FileNotFoundError if the kernel has none."""
    number = 0
    while True:
        attributes = bytearray(struct.pack("=III", number, 0, 0))
        _bpf(_BTF_NEXT, attributes)
        (number,) = struct.unpack_from("=I", attributes, 4)
        descriptor = _bpf(_BTF_FD, bytearray(struct.pack("=III", number, 0, 0)))
        if _name(descriptor) == name:
            return descriptor
        os.close(descriptor)


def _name(descriptor: int) -> str:
    text = ctypes.create_string_buffer(64)
    info = ctypes.create_string_buffer(struct.pack("=QIIQII", 0, 0, 0, ctypes.addressof(text), 64, 0), 32)
    _bpf(_INFO, bytearray(struct.pack("=IIQ", descriptor, 32, ctypes.addressof(info))))
    return text.value.decode()


def _bpf(command: int, attributes: bytearray) -> int:
    buffer = (ctypes.c_char * len(attributes)).from_buffer(attributes)
    result = int(_libc.syscall(_SYSCALL, command, buffer, len(attributes)))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
