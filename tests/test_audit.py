from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pictures import classes, encode, facts_of, in_memory, jpeg, lay_out, photo
from regraft.data.audit import Audit, audit, counts, fingerprint
from regraft.data.dataset import Dataset
from regraft.errors import DataError

SPLIT_NAMES = ("train", "val", "test")


def check(files: Mapping[str, bytes], *, strict: bool = False) -> tuple[Dataset, Audit]:
    dataset = in_memory(files, SPLIT_NAMES)
    return dataset, audit(dataset, facts_of(dataset), strict=strict)


def kept_paths(dataset: Dataset, found: Audit) -> list[str]:
    return [dataset.items[i].path for i in found.kept]


def reasons(found: Audit) -> dict[str, str]:
    return {entry.path: entry.reason for entry in found.left_out}


def detail(found: Audit, path: str) -> str:
    return next(entry.detail for entry in found.left_out if entry.path == path)


def near(seed: int) -> bytes:
    """Nearly the picture of jpeg(seed, 200, 140)."""
    return encode(photo(seed, 200, 140).resize((140, 98)), quality=70)


PETS = classes({"cat": 4, "dog": 4})


def test_nothing_is_left_out_of_good_images() -> None:
    dataset, found = check(PETS, strict=True)
    assert found.kept == tuple(range(8))
    assert found.left_out == ()
    assert found.warnings == ()
    assert found.notes == {"small": 8}
    assert found.groups.tolist() == list(range(8))
    assert counts(dataset, found) == {"cat": {"": 4}, "dog": {"": 4}}


def test_every_unusable_image_is_named_with_its_reason() -> None:
    bad = {
        "cat/a-text.jpg": b"hello",
        "cat/b-empty.jpg": b"",
        "cat/c-cut.jpg": jpeg(1)[:900],
        "dog/d-moves.gif": encode(photo(1), "GIF", save_all=True, append_images=[photo(2)]),
        "dog/e-tiny.png": encode(photo(1, 7, 7), "PNG"),
    }
    dataset, found = check(PETS | bad)
    assert kept_paths(dataset, found) == sorted(PETS)
    assert reasons(found) == {
        "cat/a-text.jpg": "not-an-image",
        "cat/b-empty.jpg": "empty",
        "cat/c-cut.jpg": "truncated",
        "dog/d-moves.gif": "animated",
        "dog/e-tiny.png": "tiny",
    }
    assert "900 bytes" in detail(found, "cat/c-cut.jpg")
    assert found.reasons == dict.fromkeys(reasons(found).values(), 1)


def test_missing_files_are_named(tmp_path: Path) -> None:
    dataset = Dataset.open(lay_out(tmp_path, PETS))
    (tmp_path / "cat" / "002.jpg").unlink()
    found = audit(dataset, facts_of(dataset))
    assert reasons(found) == {"cat/002.jpg": "missing"}
    assert "No such file" in detail(found, "cat/002.jpg")


def test_of_exact_copies_the_first_is_kept() -> None:
    dataset, found = check(PETS | {"cat/x.jpg": PETS["cat/001.jpg"], "cat/0.jpg": jpeg(9)})
    assert reasons(found) == {"cat/x.jpg": "exact-copy"}
    assert detail(found, "cat/x.jpg") == "the same file as cat/001.jpg"
    assert "cat/001.jpg" in kept_paths(dataset, found)


def test_a_picture_under_two_labels_is_left_out_altogether() -> None:
    same = PETS["cat/001.jpg"]
    _, found = check(PETS | {"dog/x.jpg": same, "cat/y.jpg": same})
    assert reasons(found) == dict.fromkeys(
        ("cat/001.jpg", "cat/y.jpg", "dog/x.jpg"), "copy-two-labels"
    )
    assert detail(found, "cat/001.jpg") == "the same file as dog/x.jpg, under another label"
    assert detail(found, "dog/x.jpg") == "the same file as cat/001.jpg, under another label"


def splits(held: str = "test", train: str = "train") -> dict[str, bytes]:
    sizes = {"cat": 4, "dog": 4}
    return classes({f"{train}/{k}": n for k, n in sizes.items()}) | classes(
        {f"{held}/{k}": 2 for k in sizes}
    )


@pytest.mark.parametrize(("held", "train"), [("test", "train"), ("test", "val"), ("val", "train")])
def test_a_training_image_that_copies_a_held_out_one_is_left_out(held: str, train: str) -> None:
    files = splits(held, train)
    files[f"{train}/cat/x.jpg"] = files[f"{held}/cat/001.jpg"]
    files[f"{train}/cat/y.jpg"] = files[f"{held}/cat/001.jpg"]
    dataset, found = check(files)
    assert reasons(found) == dict.fromkeys(
        (f"{train}/cat/x.jpg", f"{train}/cat/y.jpg"), "copy-of-held-out"
    )
    assert f"{held}/cat/001.jpg, which is held out" in detail(found, f"{train}/cat/x.jpg")
    assert f"{held}/cat/001.jpg" in kept_paths(dataset, found)


def test_val_is_training_material_where_there_is_a_test_split() -> None:
    files = splits() | classes({"val/cat": 2, "val/dog": 2})
    files["val/cat/x.jpg"] = files["train/cat/000.jpg"]
    _, found = check(files)
    assert reasons(found) == {"val/cat/x.jpg": "exact-copy"}


def test_a_copy_within_the_held_out_images_is_left_out_too() -> None:
    files = splits()
    files["test/cat/x.jpg"] = files["test/cat/000.jpg"]
    assert reasons(check(files)[1]) == {"test/cat/x.jpg": "exact-copy"}


def test_a_copy_under_two_labels_counts_across_splits() -> None:
    files = splits()
    files["train/dog/x.jpg"] = files["test/cat/000.jpg"]
    assert reasons(check(files)[1]) == dict.fromkeys(
        ("test/cat/000.jpg", "train/dog/x.jpg"), "copy-two-labels"
    )


def test_a_near_copy_of_a_held_out_image_is_left_out() -> None:
    files = splits() | {"test/cat/q.jpg": jpeg(7, 200, 140), "train/cat/q.jpg": near(7)}
    _, found = check(files)
    assert reasons(found) == {"train/cat/q.jpg": "copy-of-held-out"}
    assert "nearly the same picture as test/cat/q.jpg" in detail(found, "train/cat/q.jpg")


def test_near_copies_are_kept_in_one_group() -> None:
    dataset, found = check(PETS | {"cat/p.jpg": jpeg(7, 200, 140), "cat/q.jpg": near(7)})
    group = dict(zip(kept_paths(dataset, found), found.groups.tolist(), strict=True))
    assert group["cat/p.jpg"] == group["cat/q.jpg"]
    assert len(set(group.values())) == 9
    assert found.warnings == (
        "2 images nearly copy each other, in 1 group, each kept on one side of what is drawn.",
    )


def test_near_copies_under_two_labels_are_pointed_out() -> None:
    _, found = check(PETS | {"cat/p.jpg": jpeg(7, 200, 140), "dog/q.jpg": near(7)})
    assert found.left_out == ()
    assert "cat/p.jpg (cat) and dog/q.jpg (dog)" in found.warnings[-1]


def test_a_class_with_one_usable_image_is_left_out() -> None:
    files = PETS | {"owl/a.jpg": jpeg(1), "owl/b.jpg": jpeg(1), "owl/c.jpg": b""}
    dataset, found = check(files)
    assert reasons(found) == {
        "owl/a.jpg": "class-too-small",
        "owl/b.jpg": "exact-copy",
        "owl/c.jpg": "empty",
    }
    assert detail(found, "owl/a.jpg") == "class 'owl' has 1 usable; a class needs 2"
    assert found.warnings == ("No usable images of 'owl': this class is not learnt.",)
    assert counts(dataset, found).keys() == {"cat", "dog"}


def test_a_class_that_cannot_be_learnt_is_not_tested() -> None:
    files = splits() | classes({"test/owl": 3, "train/owl": 1, "test/elk": 2})
    dataset, found = check(files)
    assert Counter(reasons(found).values()) == {"class-too-small": 6}
    assert detail(found, "test/elk/000.jpg").startswith("class 'elk' has 0 to train on")
    assert counts(dataset, found).keys() == {"cat", "dog"}


def test_skipped_files_are_named_by_kind(tmp_path: Path) -> None:
    more = {".x": b"", "a.txt": b"", "loose.jpg": jpeg(1), "owl/": b""}
    dataset = Dataset.open(lay_out(tmp_path, PETS | more))
    found = audit(dataset, facts_of(dataset))
    assert reasons(found) == {
        ".x": "not-an-image-file",
        "a.txt": "not-an-image-file",
        "loose.jpg": "no-class",
        "owl/": "empty-class",
    }


def test_repeated_rows_are_named(tmp_path: Path) -> None:
    lay_out(tmp_path, PETS)
    lines = ["path,label", *(f"{path},{path[:3]}" for path in PETS), "cat/000.jpg,cat"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    dataset = Dataset.open(tmp_path / "t.csv")
    found = audit(dataset, facts_of(dataset))
    assert reasons(found) == {"cat/000.jpg": "repeated-row"}
    assert len(found.kept) == 8


# --- errors --------------------------------------------------------------------------------------


def refusal(files: Mapping[str, bytes], *, strict: bool = False) -> DataError:
    with pytest.raises(DataError) as caught:
        check(files, strict=strict)
    return caught.value


def test_one_class_is_an_error_that_says_what_was_found() -> None:
    error = refusal(classes({"cat": 3}))
    assert "too few classes" in error.headline
    assert "found one usable class, 'cat'" in error.problems[0]
    assert "class 'cat': 3 images, 0 of them left out" in error.problems


def test_no_usable_image_is_an_error_that_says_what_was_found() -> None:
    files = {f"{label}/{i}.jpg": b"no image" for label in ("cat", "dog") for i in range(20)}
    error = refusal(files)
    assert "found no usable class" in error.problems[0]
    assert "class 'dog': 20 images, 20 of them left out" in error.problems
    assert any(p.startswith("cat/0.jpg: not-an-image: 8 bytes") for p in error.problems)
    assert error.problems[-1] == "... and 30 more like that"


def test_two_classes_of_which_one_is_unusable() -> None:
    error = refusal(classes({"cat": 3, "dog": 1}))
    assert "found one usable class, 'cat'" in error.problems[0]
    assert any("dog/000.jpg: class-too-small" in problem for problem in error.problems)


def test_a_held_out_split_without_usable_images_is_an_error() -> None:
    files = splits()
    files |= {path: b"" for path in files if path.startswith("test")}
    assert "no image left to test on" in refusal(files).headline


def test_strict_makes_an_error_of_all_that_is_left_out() -> None:
    bad = {f"cat/x{i:02}.jpg": b"" for i in range(30)} | {"dog/x.jpg": PETS["dog/000.jpg"]}
    error = refusal(PETS | bad, strict=True)
    assert "without 31 images" in error.headline
    assert len(error.problems) == 31
    assert "dog/x.jpg: exact-copy: the same file as dog/000.jpg" in error.problems


def test_strict_lets_files_pass_that_are_no_images_by_their_name(tmp_path: Path) -> None:
    dataset = Dataset.open(lay_out(tmp_path, PETS | {".DS_Store": b"", "README.md": b""}))
    assert len(audit(dataset, facts_of(dataset), strict=True).left_out) == 2
    lay_out(tmp_path, {"owl/": b"", "loose.jpg": b""})
    dataset = Dataset.open(tmp_path)
    with pytest.raises(DataError) as caught:
        audit(dataset, facts_of(dataset), strict=True)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["loose.jpg", "owl/"]


def test_facts_must_be_those_of_the_items() -> None:
    dataset = in_memory(PETS)
    with pytest.raises(ValueError, match="8 items need as many facts, got 7"):
        audit(dataset, facts_of(dataset)[1:])


# --- warnings ------------------------------------------------------------------------------------


def test_imbalance_is_pointed_out_from_three_times() -> None:
    assert check(classes({"cat": 2, "dog": 5}))[1].warnings == ()
    (warning,) = check(classes({"cat": 2, "dog": 6}))[1].warnings
    assert warning == (
        "The classes are uneven: 'dog' has 6 images, 3.0 times as many as 'cat' (2)."
    )


def test_classes_missing_from_a_split_are_pointed_out() -> None:
    files = classes({"train/a": 2, "train/b": 2, "train/c": 2, "test/a": 2, "val/b": 2})
    assert check(files)[1].warnings == (
        "The test images have none of 'b', 'c'.",
        "The val images have none of 'a', 'c'.",
    )


def test_names_that_differ_in_capitals_are_pointed_out() -> None:
    assert "'Cat', 'cat' differ in capitals" in check(classes({"Cat": 2, "cat": 2}))[1].warnings[0]


# --- what is written -----------------------------------------------------------------------------


def test_the_fingerprint_follows_what_is_kept_and_nothing_else() -> None:
    def mark(files: Mapping[str, bytes]) -> str:
        dataset = in_memory(files)
        facts = facts_of(dataset)
        return fingerprint(dataset, audit(dataset, facts), facts)

    plain = mark(PETS)
    assert plain == mark(dict(reversed(PETS.items())))
    assert plain == mark(PETS | {"cat/bad.jpg": b""})
    moved = {path.replace("cat/001", "cat/009"): data for path, data in PETS.items()}
    changes = [PETS | {"cat/new.jpg": jpeg(5)}, PETS | {"cat/000.jpg": jpeg(5)}, moved]
    assert len({plain, *map(mark, changes)}) == 4
    assert len(plain) == 64


@pytest.mark.parametrize("change", [{"label": "dog"}, {"split": "val"}, {"path": "cat/009.jpg"}])
def test_the_fingerprint_follows_every_part_of_an_item(change: dict[str, str]) -> None:
    dataset = in_memory(PETS)
    facts = facts_of(dataset)
    found = audit(dataset, facts)
    other = replace(dataset, items=(replace(dataset.items[0], **change), *dataset.items[1:]))
    assert fingerprint(other, found, facts) != fingerprint(dataset, found, facts)


def test_notes_count_kept_images_only() -> None:
    grey = encode(Image.new("L", (50, 50), 99), "PNG")
    files = PETS | {"cat/g.png": grey, "dog/h.png": grey}
    assert check(files)[1].notes == {"small": 8}
    assert check(PETS | {"cat/g.png": grey})[1].notes == {"blank": 1, "grey": 1, "small": 8}
