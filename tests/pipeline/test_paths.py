from pathlib import Path

import pytest

from pipeline import paths


def half_written(target, error):
    with paths.whole(target) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise error


def half_made(target):
    with paths.whole(target) as temporary:
        (temporary / "half").mkdir(parents=True)
        raise ValueError("stop")


def test_a_file_appears_whole_in_folders_that_were_not_there(tmp_path):
    target = tmp_path / "a" / "b.json"
    with paths.whole(target) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert not target.exists()
    assert target.read_text(encoding="utf-8") == "new"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_after_an_error_the_old_file_stands_and_nothing_else(tmp_path, error):
    target = tmp_path / "b.json"
    target.write_text("old", encoding="utf-8")
    with pytest.raises(error):
        half_written(target, error)
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_takes_the_place_of_a_folder_with_all_it_held(tmp_path):
    target = tmp_path / "tokens"
    (target / "old").mkdir(parents=True)
    with paths.whole(target) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]


def test_after_an_error_the_old_folder_stands_and_nothing_else(tmp_path):
    target = tmp_path / "tokens"
    (target / "old").mkdir(parents=True)
    with pytest.raises(ValueError, match="stop"):
        half_made(target)
    assert [path.name for path in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("is_folder", [True, False])
def test_what_was_not_made_replaces_nothing(tmp_path, is_folder):
    target = tmp_path / "tokens"
    target.mkdir() if is_folder else target.touch()
    with pytest.raises(FileNotFoundError, match=r"\.tokens\.partial"), paths.whole(target):
        pass
    assert target.exists()


def test_what_a_killed_run_left_half_written_is_not_written_on(tmp_path):
    (tmp_path / ".tokens.partial").mkdir()
    (tmp_path / ".tokens.partial" / "half").touch()
    with paths.whole(tmp_path / "tokens") as temporary:
        assert not temporary.exists()
        temporary.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]


def test_a_folder_and_a_file_take_each_others_place(tmp_path):
    target = tmp_path / "target"
    target.touch()
    with paths.whole(target) as temporary:
        temporary.mkdir()
    assert target.is_dir()
    with paths.whole(target) as temporary:
        temporary.touch()
    assert target.is_file()


def test_a_link_is_removed_and_not_what_it_points_at(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "file").touch()
    (tmp_path / "link").symlink_to(folder)
    paths.remove(tmp_path / "link")
    paths.remove(tmp_path / "never there")
    assert (folder / "file").exists()
    assert not (tmp_path / "link").exists()


def test_every_path_is_relative_to_the_root():
    named = [value for value in vars(paths).values() if isinstance(value, Path)]
    assert not any(path.is_absolute() for path in named)
    assert paths.metrics("score") == Path("data/metrics/score.json")
    assert paths.curve("pretrain") == Path("data/metrics/pretrain.csv")
    assert paths.checks("shards") == Path("data/checks/shards.json")
    assert paths.data_docs("shards") == Path("data/checks/shards.html")
    assert paths.timings("score") == Path(".work/timings/score.json")
