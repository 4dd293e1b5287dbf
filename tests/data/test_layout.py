"""Which file of a folder is what."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from svsim.data.layout import find_sources
from svsim.errors import DataError


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


OFFICIAL = {
    "pure": (
        "log_random_4_22_to_5_08_pure.csv",
        "log_standard_4_08_to_4_21_pure.csv",
        "log_standard_4_22_to_5_08_pure.csv",
        "user_features_pure.csv",
        "video_features_basic_pure.csv",
        "video_features_statistic_pure.csv",
    ),
    "1k": (
        "log_random_4_22_to_5_08_1k.csv",
        "log_standard_4_08_to_4_21_1k.csv",
        "log_standard_4_22_to_5_08_1k.csv",
        "user_features_1k.csv",
        "video_features_basic_1k.csv",
        "video_features_statistic_1k.csv",
    ),
    "27k": (
        "log_random_4_22_to_5_08_27k.csv",
        "log_standard_4_08_to_4_21_27k_part1.csv",
        "log_standard_4_08_to_4_21_27k_part2.csv",
        "log_standard_4_22_to_5_08_27k_part1.csv",
        "log_standard_4_22_to_5_08_27k_part2.csv",
        "user_features_27k.csv",
        "video_features_basic_27k.csv",
        "video_features_statistic_27k_part1.csv",
        "video_features_statistic_27k_part2.csv",
        "video_features_statistic_27k_part3.csv",
    ),
}


@pytest.mark.parametrize("variant", list(OFFICIAL))
@pytest.mark.parametrize("place", ["", "data"])
def test_the_official_releases(tmp_path: Path, variant: str, place: str) -> None:
    """As unpacked (files in `data/`) or moved out of it; everything is found, nothing is missing."""
    names = OFFICIAL[variant]
    touch(tmp_path / place, *names, "README.md")
    sources = find_sources(tmp_path)
    assert sources.variant == variant
    assert sources.missing == []
    assert sorted(path.name for path in sources.files) == sorted(names)
    kinds = (sources.standard_logs, sources.random_logs, sources.users, sources.videos, sources.statistics)
    starts = ("log_standard", "log_random", "user_features", "video_features_basic", "video_features_statistic")
    for files, start in zip(kinds, starts, strict=True):
        assert files == [path for path in sources.files if path.name.startswith(start)]


def test_parts_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    parts = [f"log_standard_4_08_to_4_21_27k_part{n}.csv" for n in (1, 2, 10)]
    touch(tmp_path, *reversed(parts), "user_features_27k.csv", "video_features_basic_27k.csv")
    assert [path.name for path in find_sources(tmp_path).standard_logs] == parts


@pytest.mark.parametrize(
    ("logs", "missing"),
    [
        (["log_standard_4_08_to_4_21.csv"], ["log_standard_4_22_to_5_08", "log_random_4_22_to_5_08"]),
        (["log_random_4_22_to_5_08.csv"], ["log_standard_4_08_to_4_21", "log_standard_4_22_to_5_08"]),
    ],
)
def test_any_log_is_enough_and_the_others_are_named(tmp_path: Path, logs: list[str], missing: list[str]) -> None:
    touch(tmp_path, *logs, "user_features.csv", "video_features_basic.csv")
    sources = find_sources(tmp_path)
    assert sources.variant is None
    assert sources.missing == [*missing, "video_features_statistic"]


def test_files_of_other_names_are_left_alone(tmp_path: Path) -> None:
    names = ("log_standard_4_08_to_4_21.csv", "user_features.csv", "video_features_basic.csv")
    others = ("log_standard_4_08_to_4_21.csv.bak", "my_user_features.csv", "user_features.txt", "captions.csv")
    touch(tmp_path, *names, *others)
    assert {path.name for path in find_sources(tmp_path).files} == set(names)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    touch(tmp_path, *OFFICIAL["pure"])

    def refuse(self: Path) -> None:
        raise OSError(code, "no reading here", str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match="could not read: no reading here"):
        find_sources(tmp_path)
