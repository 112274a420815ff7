from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from neuraxis.dsl.diagnostics import Slug
from neuraxis.runtime.data import DataError, find_file, find_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    root = tmp_path / "root"
    (root / "corpus").mkdir(parents=True)
    for name in ("b.txt", "a.txt", "c.md"):
        (root / "corpus" / name).write_text(name)
    return root


def test_a_pattern_finds_files_in_order(root: Path) -> None:
    assert [f.name for f in find_files(root, "corpus/*.txt")] == ["a.txt", "b.txt"]
    assert [f.name for f in find_files(root, "**/*.md")] == ["c.md"]


def test_a_name_with_brackets_is_a_name_first(root: Path) -> None:
    (root / "x[1].txt").write_text("")
    assert find_file(root, "x[1].txt").name == "x[1].txt"


def test_links_inside_the_folder_are_followed(root: Path) -> None:
    (root / "link.txt").symlink_to("corpus/a.txt")
    assert find_file(root, "link.txt").read_text() == "a.txt"


@pytest.mark.parametrize(
    "pattern", ["../secret.txt", "corpus/../../secret.txt", "/etc/hosts", "../*"]
)
def test_no_path_leads_out(root: Path, pattern: str) -> None:
    with pytest.raises(DataError, match='leads out of the folder "root"') as caught:
        find_files(root, pattern)
    assert caught.value.slug is Slug.BAD_FILE
    assert caught.value.hint


@pytest.mark.parametrize("target", ["../secret.txt", ".."])
def test_no_link_leads_out(root: Path, target: str) -> None:
    (root / "link").symlink_to(target)
    for pattern in ("link", "l*", "link/*"):
        if target == ".." or pattern != "link/*":
            with pytest.raises(DataError, match=r"leads out|no file"):
                find_files(root, pattern)


def test_a_folder_beside_with_the_same_start_is_outside(root: Path) -> None:
    beside = root.parent / "root2"
    beside.mkdir()
    (beside / "x.txt").write_text("")
    (root / "link.txt").symlink_to("../root2/x.txt")
    with pytest.raises(DataError, match="leads out"):
        find_files(root, "link.txt")


@pytest.mark.parametrize(
    "pattern", ["none.txt", "", ".", "corpus", "a**b", "a\0b", "x" * 5000, "[", "none/*.txt"]
)
def test_what_is_no_file_is_said_plainly(root: Path, pattern: str) -> None:
    with pytest.raises(DataError) as caught:
        find_files(root, pattern)
    assert caught.value.slug is Slug.BAD_FILE
    assert str(root) not in caught.value.message


def test_a_loop_of_links_is_no_file(root: Path) -> None:
    (root / "loop").symlink_to("loop")
    with pytest.raises(DataError):
        find_files(root, "loop")


def test_one_file_is_one_file(root: Path) -> None:
    with pytest.raises(DataError, match="is 2 files, and one is needed"):
        find_file(root, "corpus/*.txt")
