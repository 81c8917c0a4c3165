"""Kernels on this machine: told what they are, laid out alike, and refused when they are not what
they say.
"""

from __future__ import annotations

import platform
import struct
import subprocess
from pathlib import Path

import pytest

from tests.support.packages import bzimage, catalogue_of, entry, image_deb, kernel_deb, module
from tests.support.specs import kernels_of
from vms.cache import Cache
from vms.errors import FetchError, HostError, UsageError
from vms.kernels import local as local_module
from vms.kernels.fetch import fetch
from vms.kernels.kernel import Kernel

NOTHING = catalogue_of()


def one(spec: str, base: Path) -> Kernel:
    (kernel,) = kernels_of([spec], NOTHING, base)
    return kernel


def built_tree(directory: Path, release: str = "6.13.0-rc3-mine") -> Path:
    bzimage(directory / "arch/x86/boot/bzImage", release)
    (directory / "include/config").mkdir(parents=True)
    (directory / "include/config/kernel.release").write_text(f"{release}\n")
    (directory / ".config").write_text("CONFIG_64BIT=y\n")
    module(directory / "net/netfilter/nf_conntrack.ko")
    (directory / "modules.order").write_text("net/netfilter/nf_conntrack.o\n")
    (directory / "modules.builtin").write_text("kernel/fs/overlayfs/overlay.ko\n")
    return directory


class TestDeb:
    def test_one_package(self, tmp_path: Path, cache: Cache) -> None:
        deb = image_deb(tmp_path, "6.12.117+deb13", "6.12.117-1")
        kernel = one(f"deb:{deb.name}", tmp_path)
        assert (kernel.series, kernel.release, kernel.version, kernel.name) == (
            "6.12",
            "6.12.117",
            "6.12.117-1",
            "6.12.117-1",
        )
        files = fetch(kernel, cache)
        assert files.version == "6.12.117+deb13-cloud-amd64"
        assert files.config is not None
        assert (files.modules / "modules.dep").exists()
        assert files.sha256[deb.name] == kernel.packages[0].sha256

    def test_image_and_modules_apart_as_ubuntu_has_them(self, tmp_path: Path, cache: Cache) -> None:
        release = "6.12.1-061201-generic"
        content = module(tmp_path / "x.ko")
        modules = kernel_deb(
            tmp_path,
            f"linux-modules-{release}",
            "6.12.1-061201.202411221132",
            {f"lib/modules/{release}/kernel/net/x.ko": content, f"boot/config-{release}": b"CONFIG_PCI=y\n"},
        )
        image = kernel_deb(
            tmp_path,
            f"linux-image-unsigned-{release}",
            "6.12.1-061201.202411221132",
            {f"boot/vmlinuz-{release}": bzimage(tmp_path / "v", release)},
        )
        kernel = one(f"deb:{modules},{image}", tmp_path)
        assert kernel.release == "6.12.1"
        files = fetch(kernel, cache)
        assert files.version == release
        assert "kernel/net/x.ko:" in (files.modules / "modules.dep").read_text()
        assert files.config is not None
        assert files.config.read_text() == "CONFIG_PCI=y\n"

    def test_modules_under_lib_and_under_usr_lib_come_together(self, tmp_path: Path, cache: Cache) -> None:
        release = "7.3-amd64"
        content = module(tmp_path / "x.ko")
        one_deb = kernel_deb(
            tmp_path,
            "linux-binary-7.3",
            "7.3-1",
            {f"usr/lib/modules/{release}/vmlinuz": bzimage(tmp_path / "v", release)},
        )
        other = kernel_deb(
            tmp_path, "linux-modules-7.3", "7.3-1", {f"lib/modules/{release}/kernel/x.ko": content}
        )
        files = fetch(one(f"deb:{one_deb},{other}", tmp_path), cache)
        assert (files.modules / "kernel/x.ko").exists()

    def test_the_vmlinuz_is_missing(self, tmp_path: Path, cache: Cache) -> None:
        deb = kernel_deb(tmp_path, "linux-modules-7.3", "7.3-1", {"lib/modules/7.3/kernel/x.ko": b"x"})
        with pytest.raises(FetchError, match="hold no vmlinuz"):
            fetch(one(f"deb:{deb}", tmp_path), cache)
        assert [path for path in (cache.root / "kernels").iterdir() if path.suffix != ".lock"] == []

    def test_modules_of_another_kernel(self, tmp_path: Path, cache: Cache) -> None:
        image = kernel_deb(
            tmp_path, "linux-image-7.3", "7.3-1", {"boot/vmlinuz-7.3": bzimage(tmp_path / "v", "7.3")}
        )
        modules = kernel_deb(tmp_path, "linux-modules-7.2", "7.2-1", {"lib/modules/7.2/kernel/x.ko": b"x"})
        with pytest.raises(FetchError, match=r"is 7\.3, the modules are for 7\.2"):
            fetch(one(f"deb:{image},{modules}", tmp_path), cache)

    @pytest.mark.fault(
        phase="unpack", fault="package changes while it is read", outcome="refused with both digests"
    )
    def test_a_file_that_changes_after_it_was_resolved(self, tmp_path: Path, cache: Cache) -> None:
        deb = image_deb(tmp_path, "6.12.117+deb13", "6.12.117-1")
        kernel = one(f"deb:{deb}", tmp_path)
        deb.write_bytes(deb.read_bytes() + b"x")
        with pytest.raises(FetchError, match="changed while it was read"):
            fetch(kernel, cache)

    @pytest.mark.parametrize(
        ("content", "message"), [(b"text", "is not a .deb file"), (None, "No such file")]
    )
    def test_no_package(self, tmp_path: Path, content: bytes | None, message: str) -> None:
        if content is not None:
            (tmp_path / "x.deb").write_bytes(content)
        with pytest.raises(UsageError, match=message):
            one("deb:x.deb", tmp_path)


class TestRpm:
    @pytest.fixture
    def rpm(self, tmp_path: Path) -> Path:
        """A package as Fedora lays it out, made by rpmbuild."""
        release = "6.11.4-301.fc41.x86_64"
        root = tmp_path / "content/lib/modules" / release
        bzimage(root / "vmlinuz", release)
        (root / "config").write_text("CONFIG_64BIT=y\n")
        module(root / "kernel/net/x.ko")
        spec = tmp_path / "kernel.spec"
        spec.write_text(
            "Name: kernel-core\nVersion: 6.11.4\nRelease: 301.fc41\nSummary: a kernel\nLicense:"
            " GPL-2.0-only\n%global debug_package %{nil}\n%global __os_install_post"
            f" %{{nil}}\n%description\na kernel\n%install\ncp -a {tmp_path}/content/."
            " %{buildroot}\n%files\n/lib/modules\n"
        )
        build = [
            "rpmbuild",
            "--quiet",
            "-bb",
            "--target",
            "x86_64",
            "--define",
            "_rpmformat 4",  # which rpm 6 makes when asked to
            "--define",
            f"_topdir {tmp_path}/rpmbuild",
            str(spec),
        ]
        subprocess.run(build, check=True, capture_output=True)
        (path,) = (tmp_path / "rpmbuild/RPMS").glob("*/*.rpm")
        return path

    def test_one_package(self, rpm: Path, tmp_path: Path, cache: Cache) -> None:
        kernel = one(f"rpm:{rpm}", tmp_path)
        assert (kernel.release, kernel.version, kernel.series) == ("6.11.4", "6.11.4-301.fc41", "6.11")
        files = fetch(kernel, cache)
        assert files.version == "6.11.4-301.fc41.x86_64"
        assert "kernel/net/x.ko:" in (files.modules / "modules.dep").read_text()
        assert files.config is not None

    def test_the_format_of_rpm_6_is_named(self, tmp_path: Path) -> None:
        text, format_tag = b"kernel\0" + b"6.11\0" + b"1\0", 5114
        tags = [(1000, 6, 0), (1001, 6, 7), (1002, 6, 12), (format_tag, 4, 14)]
        store = text + struct.pack(">I", 6)
        index = b"".join(struct.pack(">4I", *tag, 1) for tag in tags)
        signatures = struct.pack(">8sII", b"\x8e\xad\xe8\x01", 0, 0)
        header = struct.pack(">8sII", b"\x8e\xad\xe8\x01", len(tags), len(store)) + index + store
        (tmp_path / "new.rpm").write_bytes(b"\xed\xab\xee\xdb".ljust(96, b"\0") + signatures + header)
        with pytest.raises(UsageError, match=r"new\.rpm has the file format of rpm 6, .*'_rpmformat 4'"):
            one("rpm:new.rpm", tmp_path)

    @pytest.mark.fault(phase="unpack", fault="package damaged", outcome="refused as damaged; exit code 2")
    def test_a_damaged_header(self, rpm: Path, tmp_path: Path) -> None:
        broken = tmp_path / "broken.rpm"
        broken.write_bytes(rpm.read_bytes()[:200])
        with pytest.raises(UsageError, match=r"is a damaged \.rpm file"):
            one(f"rpm:{broken}", tmp_path)

    @pytest.mark.fault(phase="unpack", fault="package damaged", outcome="refused as damaged")
    def test_a_truncated_payload(self, rpm: Path, tmp_path: Path, cache: Cache) -> None:
        broken = tmp_path / "broken.rpm"
        broken.write_bytes(rpm.read_bytes()[:-1000])
        with pytest.raises(HostError, match=r"broken\.rpm is damaged"):
            fetch(one(f"rpm:{broken}", tmp_path), cache)

    def test_no_package(self, tmp_path: Path) -> None:
        (tmp_path / "x.rpm").write_text("text")
        with pytest.raises(UsageError, match=r"is not an \.rpm file"):
            one("rpm:x.rpm", tmp_path)


class TestTree:
    def test_a_built_tree(self, tmp_path: Path, cache: Cache) -> None:
        kernel = one(f"tree:{built_tree(tmp_path / 'linux')}", tmp_path)
        assert (kernel.series, kernel.release, kernel.name) == ("6.13", "6.13~rc3", "6.13.0-rc3-mine")
        files = fetch(kernel, cache)
        assert files.version == "6.13.0-rc3-mine"
        assert files.modules.name == files.version
        assert "kernel/net/netfilter/nf_conntrack.ko:" in (files.modules / "modules.dep").read_text()
        assert (files.modules / "modules.builtin").read_text() == "kernel/fs/overlayfs/overlay.ko\n"
        assert files.sha256 == {package.name: package.sha256 for package in kernel.packages}

    def test_debugging_information_is_left_behind(self, tmp_path: Path, cache: Cache) -> None:
        tree = built_tree(tmp_path / "linux")
        files = fetch(one(f"tree:{tree}", tmp_path), cache)
        assert (files.modules / "kernel/net/netfilter/nf_conntrack.ko").stat().st_size < (
            tree / "net/netfilter/nf_conntrack.ko"
        ).stat().st_size

    def test_another_build_is_another_kernel(self, tmp_path: Path, cache: Cache) -> None:
        tree = built_tree(tmp_path / "linux")
        before = one(f"tree:{tree}", tmp_path)
        (tree / "net/netfilter/nf_conntrack.ko").write_bytes(
            (tree / "net/netfilter/nf_conntrack.ko").read_bytes() + b"\0"
        )
        after = one(f"tree:{tree}", tmp_path)
        assert before.id != after.id
        with pytest.raises(FetchError, match="changed while it was read"):
            fetch(before, cache)

    def test_a_tree_that_is_not_built(self, tmp_path: Path) -> None:
        tree = built_tree(tmp_path / "linux")
        (tree / "net/netfilter/nf_conntrack.ko").unlink()
        with pytest.raises(UsageError, match=r"nf_conntrack\.ko .*not built"):
            one("tree:linux", tmp_path)
        (tree / "arch/x86/boot/bzImage").unlink()
        with pytest.raises(UsageError, match="build it first"):
            one("tree:linux", tmp_path)

    @pytest.mark.parametrize(
        "line", ["../../outside.ko", "net/../../outside.o", "/outside.ko", "net/\0.o", "net", "\udcff.o", ""]
    )
    def test_a_module_outside_the_tree_is_refused(self, tmp_path: Path, line: str) -> None:
        tree = built_tree(tmp_path / "linux")
        (tmp_path / "outside.ko").touch()
        (tree / "modules.order").write_text(f"{line}\n", errors="surrogateescape")
        with pytest.raises(UsageError, match=r"modules\.order lists .* cannot be a module of this tree"):
            one("tree:linux", tmp_path)

    @pytest.mark.parametrize(
        "name",
        [
            "net/netfilter/nf_conntrack.ko",
            "modules.builtin",
            "modules.order",
            "arch/x86/boot/bzImage",
            ".config",
            "include/config/kernel.release",
        ],
    )
    def test_a_link_out_of_the_tree_is_not_followed(self, tmp_path: Path, name: str) -> None:
        tree = built_tree(tmp_path / "linux")
        (tmp_path / "letter.txt").write_text("mine")
        (tree / name).unlink(missing_ok=True)
        (tree / name).symlink_to(tmp_path / "letter.txt")
        with pytest.raises(UsageError, match=f"{name} is a link that leads out of the tree"):
            one("tree:linux", tmp_path)

    @pytest.mark.parametrize(
        ("name", "what"),
        [
            ("arch/x86/boot/bzImage", "a vmlinuz"),
            ("net/netfilter/nf_conntrack.ko", "a module in a tree"),
            ("modules.order", "a list of modules"),
            ("modules.builtin", "a list of modules"),
            (".config", "a configuration"),
        ],
    )
    @pytest.mark.fault(phase="unpack", fault="package floods", outcome="refused as too large, unread")
    def test_a_file_of_a_tree_that_is_a_large_hole_is_refused(
        self, tmp_path: Path, cache: Cache, name: str, what: str
    ) -> None:
        tree = built_tree(tmp_path / "linux")
        size = 9 << 20 if name == "modules.builtin" else 4 << 40
        with (tree / name).open("ab") as file:
            file.truncate(size)
        with pytest.raises((UsageError, FetchError), match=f"has {size} bytes, too many for {what}"):
            fetch(one("tree:linux", tmp_path), cache)

    def test_a_release_that_is_no_text_is_refused(self, tmp_path: Path) -> None:
        tree = built_tree(tmp_path / "linux")
        (tree / "include/config/kernel.release").write_bytes(b"6.1\xff")
        with pytest.raises(UsageError, match="version cannot be"):
            one("tree:linux", tmp_path)

    def test_a_name_of_ones_own(self, tmp_path: Path) -> None:
        built_tree(tmp_path / "linux")
        assert one("mine=tree:linux", tmp_path).name == "mine"

    def test_a_tree_sorts_among_the_releases(self, tmp_path: Path) -> None:
        built_tree(tmp_path / "linux")
        others = catalogue_of(entry("6.12.9", "6.12.9-1"), entry("6.13", "6.13-1"))
        names = [kernel.name for kernel in kernels_of(["all", "mine=tree:linux"], others, tmp_path)]
        assert names == ["6.12.9", "mine", "6.13"]


class TestImage:
    def test_without_modules(self, tmp_path: Path, cache: Cache) -> None:
        bzimage(tmp_path / "vmlinuz", "6.6.1")
        files = fetch(one("image:vmlinuz", tmp_path), cache)
        assert (files.version, files.config) == ("6.6.1", None)
        assert (files.modules / "modules.dep").read_text() == ""

    def test_with_modules_and_the_configuration_beside_it(self, tmp_path: Path, cache: Cache) -> None:
        bzimage(tmp_path / "boot/vmlinuz-6.6.1", "6.6.1")
        (tmp_path / "boot/config-6.6.1").write_text("CONFIG_64BIT=y\n")
        module(tmp_path / "lib/6.6.1/kernel/x.ko")
        (tmp_path / "lib/6.6.1/build").symlink_to("/nowhere")
        files = fetch(one("image:boot/vmlinuz-6.6.1,modules=lib/6.6.1", tmp_path), cache)
        assert "kernel/x.ko:" in (files.modules / "modules.dep").read_text()
        assert files.config is not None
        assert not (files.modules / "build").is_symlink()

    def test_modules_of_another_kernel(self, tmp_path: Path, cache: Cache) -> None:
        bzimage(tmp_path / "vmlinuz", "6.6.1")
        module(tmp_path / "6.6.2/kernel/x.ko")
        with pytest.raises(FetchError, match=r"is 6\.6\.1, the modules in .* are for 6\.6\.2"):
            fetch(one("image:vmlinuz,modules=6.6.2", tmp_path), cache)

    @pytest.mark.parametrize(
        "content", [b"", b"\x7fELF" + b"\0" * 0x300, b"\0" * 0x202 + b"HdrS" + b"\0" * 12]
    )
    def test_no_bzimage(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "vmlinux").write_bytes(content)
        with pytest.raises(UsageError, match="vmlinux"):
            one("image:vmlinux", tmp_path)

    def test_no_directory_of_modules(self, tmp_path: Path) -> None:
        bzimage(tmp_path / "vmlinuz", "6.6.1")
        with pytest.raises(UsageError, match="is not a directory of modules"):
            one("image:vmlinuz,modules=nowhere", tmp_path)


class TestHost:
    def test_the_running_kernels_image(
        self, tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        release = "6.1.0-47-amd64"
        monkeypatch.setattr(local_module, "HOST", tmp_path)
        monkeypatch.setattr(platform, "release", lambda: release)
        bzimage(tmp_path / f"boot/vmlinuz-{release}", release)
        module(tmp_path / f"lib/modules/{release}/kernel/x.ko")
        kernel = one("host", tmp_path)
        assert (kernel.name, kernel.release) == ("host", "6.1.0")
        assert fetch(kernel, cache).version == release

    def test_no_image_of_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(local_module, "HOST", tmp_path)
        with pytest.raises(UsageError, match="is not on this machine"):
            one("host", tmp_path)
