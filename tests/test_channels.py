"""Pictures of other channels than grey and RGB: .npy files, arrays, a network that takes five."""

import io
import struct
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import kinds
import regraft
from pictures import jpeg, lay_out
from regraft.data.images import Facts, View, facts_key, in_colour, inspect
from regraft.data.images.view import square
from regraft.data.readers.pictures import bytes_of
from regraft.errors import BackboneError, RunError, UsageError
from regraft.export.images import picture
from regraft.results.snippet import snippet
from regraft.serve.decode import DecodedImage, Decoder
from regraft.serve.limits import Limits, Problem

Levels = NDArray[np.uint8]


def noise(*shape: int) -> Levels:
    return np.random.default_rng(3).integers(0, 256, shape, np.uint8)


def npy(array: NDArray[Any], *, pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=pickle)
    return buffer.getvalue()


def header(text: str, version: bytes = b"\1\0") -> bytes:
    length = struct.pack("<H" if version == b"\1\0" else "<I", len(text))
    return b"\x93NUMPY" + version + length + text.encode()


def claims(shape: str, kind: str = "|u1") -> bytes:
    return header(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}\n") + bytes(99)


FIVE = noise(40, 30, 5)
OBJECTS = np.empty((9, 9), object)
TOO_MANY = "the network takes 1 or 3 channels, this has 5 on its last axis"


@pytest.mark.parametrize(
    ("data", "channels", "problem", "words"),
    [
        pytest.param(npy(FIVE), 5, "", "", id="five"),
        pytest.param(npy(np.asfortranarray(FIVE)), 5, "", "", id="fortran order"),
        pytest.param(npy(noise(40, 30)), 3, "", "", id="grey"),
        pytest.param(npy(noise(40, 30, 1)), 1, "", "", id="one channel"),
        pytest.param(npy(noise(40, 30, 3)), 3, "", "", id="RGB"),
        pytest.param(npy(FIVE), 3, "channels", TOO_MANY, id="five for RGB"),
        pytest.param(npy(FIVE), 1, "channels", TOO_MANY, id="five for grey"),
        pytest.param(npy(noise(9, 9, 4)), 5, "channels", "takes 5 channels, this has 4", id="four"),
        pytest.param(jpeg(1), 5, "channels", "takes 5 channels, this has 3", id="a photo"),
        pytest.param(npy(noise(9, 9)), 5, "channels", "takes 5 channels, this has 1", id="flat"),
        pytest.param(npy(noise(5, 40, 30)), 5, "channels", "this has 30 on its last", id="first"),
        pytest.param(npy(FIVE)[:-1], 5, "truncated", "ends after", id="a byte too few"),
        pytest.param(npy(FIVE)[:60], 5, "truncated", "ends after 60 bytes", id="half a header"),
        pytest.param(npy(FIVE)[:7], 5, "truncated", "ends after 7 bytes", id="a start"),
        pytest.param(npy(OBJECTS, pickle=True), 5, "unreadable", "got object", id="pickled"),
        pytest.param(npy(FIVE.astype(np.float32)), 5, "unreadable", "got float32", id="floats"),
        pytest.param(npy(FIVE.astype(np.uint16)), 5, "unreadable", "got uint16", id="deep"),
        pytest.param(
            npy(noise(40, 30, 2).view("u1,u1")), 5, "unreadable", "uint8, got", id="fields"
        ),
        pytest.param(npy(noise(0, 9, 5)), 5, "unreadable", "got [0, 9, 5]", id="no rows"),
        pytest.param(npy(noise(9, 9, 0)), 5, "unreadable", "got [9, 9, 0]", id="no channels"),
        pytest.param(npy(noise(9)), 5, "unreadable", "got [9]", id="a row"),
        pytest.param(npy(noise(2, 9, 9, 5)), 5, "unreadable", "got [2, 9, 9, 5]", id="a batch"),
        pytest.param(claims("(-9, -9, 5)"), 5, "unreadable", "none of them 0", id="below zero"),
        pytest.param(npy(noise(7, 40, 5)), 5, "tiny", "less than 8 px", id="tiny"),
        pytest.param(claims(f"({10**9}, {10**9}, 5)"), 5, "bomb", "million pixels", id="huge"),
        pytest.param(claims("(14200, 14000, 5)"), 5, "truncated", "ends after", id="as large"),
        pytest.param(
            claims(f"(9, 9, {10**15})"), 5, "channels", "takes 5 channels", id="deep huge"
        ),
        pytest.param(header("{'descr': print()}\n"), 5, "unreadable", "damaged", id="code"),
        pytest.param(header(" " * 20_000), 5, "unreadable", "header is damaged", id="long header"),
        pytest.param(header("{}", b"\3\0"), 5, "unreadable", "header is damaged", id="version 3"),
    ],
)
def test_what_an_npy_file_is(data: bytes, channels: int, problem: str, words: str) -> None:
    facts, squares = inspect(data, [View(16, channels=channels)])
    assert facts.problem == problem, facts.detail
    assert words in facts.detail
    assert "damaged NPY" not in facts.detail  # a file of another type is whole
    assert (squares is None) == bool(problem)
    if squares:
        assert squares[0].shape == (16, 16, channels)
        assert (facts.width, facts.height) == (30, 40)


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("turn", [np.ascontiguousarray, np.asfortranarray])
def test_each_channel_is_seen_as_a_grey_picture_is(fit: str, turn: Callable[..., Levels]) -> None:
    view = View(16, width=20, channels=5, fit=fit)
    _, squares = inspect(npy(turn(FIVE)), [view])
    assert squares is not None
    for number in range(5):
        alone = square(Image.fromarray(FIVE[..., number]), (30, 40), View(16, width=20, fit=fit))
        grey = np.asarray(Image.fromarray(alone).convert("L"))
        assert np.array_equal(squares[0][..., number], grey)


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_rgb_of_npy_files_are_those_of_pictures(channels: int) -> None:
    array, png = noise(40, 30, channels), io.BytesIO()
    Image.fromarray(array.squeeze()).save(png, "PNG")
    facts, squares = inspect(npy(array), [View(16)])
    other, wanted = inspect(png.getvalue(), [View(16)])
    assert squares is not None
    assert wanted is not None
    assert np.array_equal(squares[0], wanted[0])
    assert (facts.phash, facts.thumb, facts.notes) == (other.phash, other.thumb, other.notes)
    assert np.array_equal(picture(npy(array), View(16)), picture(png.getvalue(), View(16)))


def test_they_are_compared_and_found_blank_by_the_mean_of_their_channels() -> None:
    def look(array: Levels) -> Facts:
        return inspect(npy(array), [View(16, channels=5)])[0]

    assert look(FIVE).thumb == look(FIVE[..., ::-1]).thumb
    assert look(FIVE).thumb != look(FIVE[::-1]).thumb
    assert "blank" in look(np.full((9, 9, 5), 7, np.uint8)).notes
    assert "blank" not in look(FIVE).notes


def test_facts_and_features_of_other_channels_have_their_own_names() -> None:
    views = [View(16, channels=channels) for channels in (3, 4, 5)]
    assert len({facts_key([view]) for view in views}) == len({view.key for view in views}) == 3
    assert facts_key(views[:1]) == facts_key([View(16, channels=1)])


def test_what_is_shown_of_them_is_in_colour() -> None:
    assert np.array_equal(in_colour(FIVE), FIVE[..., :3])
    assert np.array_equal(in_colour(FIVE[..., :2]), FIVE[..., :1].repeat(3, -1))


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(FIVE, id="array"),
        pytest.param(FIVE.astype(np.int64), id="whole numbers"),
        pytest.param(FIVE / 255, id="floats"),
        pytest.param(torch.from_numpy(FIVE).permute(2, 0, 1), id="tensor"),
        pytest.param(npy(FIVE), id="bytes"),
    ],
)
def test_arrays_in_memory_are_read_as_files_are(picture: Any) -> None:
    assert bytes_of(picture) == npy(FIVE)


# ---- a network of five channels


def marked(number: int) -> Levels:
    """A picture of noise that is brighter in the fourth or in the fifth channel."""
    random = np.random.default_rng(number)
    array = random.integers(0, 120, (40, 40, 5), np.uint8)
    array[..., 3 + number % 2] += 100
    return array


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {f"{'ab'[n % 2]}/{n}.npy": npy(marked(n)) for n in range(60)}
    files["a/photo.jpg"] = jpeg(1)
    files["b/six.npy"] = npy(noise(40, 40, 6))
    return lay_out(tmp_path_factory.mktemp("data") / "five", files)


def made() -> kinds.Nested:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return kinds.Nested(5)


@pytest.fixture(scope="module")
def done(data: Path, tmp_path_factory: pytest.TempPathFactory) -> regraft.Result:
    return regraft.fit(data, made(), case=1, view=32, out=tmp_path_factory.mktemp("runs") / "run")


def folder(done: regraft.Result) -> Path:
    assert done.folder is not None
    return done.folder


def test_a_network_of_five_channels_is_fitted_saved_and_opened(
    data: Path, done: regraft.Result
) -> None:
    plan = regraft.propose(data, made(), case=1, view=32)
    assert plan.backbone.view.shape == (32, 32, 5)
    run = folder(done)
    left_out = (run / "audit.csv").read_text("utf-8").splitlines()
    assert [line.split(",")[0] for line in left_out if "takes 5 channels" in line] == [
        "a/photo.jpg",
        "b/six.npy",
    ]
    assert done.metrics["accuracy"] == 1
    again = regraft.load(run, network=made())
    new = [marked(n) for n in range(90, 96)]
    labels = ["ab"[n % 2] for n in range(90, 96)]
    assert [p.label for p in again.predict(new)] == [p.label for p in done.predict(new)] == labels
    refused = again.predict([data / "a" / "photo.jpg"])[0]
    assert "takes 5 channels, this has 3" in refused.problem
    page = regraft.report(run, data=data, heat_maps=True, network=made())
    assert "data:image/webp" in page.read_text("utf-8")


def test_five_channels_are_trained(data: Path) -> None:
    plan = regraft.propose(data, made(), case=3, view=32)
    brief = tuple(replace(training, epochs=1) for training in plan.trainings)
    trained = regraft.apply(replace(plan, trainings=brief), data, made())
    assert trained.predict_proba([marked(1)]).shape == (1, 2)


def test_networks_of_five_channels_are_compared_ranked_drawn_and_looked_at(
    data: Path, tmp_path: Path
) -> None:
    network = regraft.open_network(made(), view=32, name="five")
    images, labels = [marked(n) for n in range(60)], ["ab"[n % 2] for n in range(60)]
    arrays = regraft.Dataset.from_arrays(images, labels)
    ranking = regraft.rank(arrays, [network, "demonstration"])
    assert ranking.chosen == "five"
    told = {row.backbone: row.problem for row in ranking.rows}
    assert not told["five"]
    assert "60 of them: the network takes 1 or 3 channels, this has 5" in told["demonstration"]
    with pytest.raises(BackboneError, match="demonstration cannot take these images"):
        regraft.propose(arrays, "demonstration")
    photos = regraft.Dataset.from_arrays([image[..., :3] for image in images], labels)
    ranking = regraft.rank(photos, [network, "demonstration"])
    assert (ranking.chosen, ranking.rows[-1].backbone) == ("demonstration", "five")
    assert "takes 5 channels, this has 3" in ranking.rows[-1].problem
    assert regraft.compare(data, network, quick=True, out=tmp_path / "side").cases
    assert regraft.look(network, data, most=20, out=tmp_path / "look.html").sights
    assert "features.0" in str(regraft.draw(network))


def test_an_npy_file_is_decoded_by_the_server() -> None:
    decode = Decoder(View(32, channels=5), Limits())
    found = decode(npy(marked(1)))
    assert isinstance(found, DecodedImage)
    assert found.square.shape == (32, 32, 5)
    for data, words in ((jpeg(1), "takes 5 channels"), (claims("(99999, 99999, 5)"), "million")):
        problem = decode(data)
        assert isinstance(problem, Problem)
        assert (problem.status, words in problem.detail) == (422, True)


@pytest.mark.parametrize("to", ["onnx", "torch", "openvino"])
def test_five_channels_are_exported(
    to: str, data: Path, done: regraft.Result, tmp_path: Path
) -> None:
    out = tmp_path / {"onnx": "x.onnx", "torch": "x.pt2", "openvino": "x-ov"}[to]
    told = regraft.export(done, to, out, data=data)
    assert told.input == "normalised 5-channel pixels, float32 [batch, 5, 32, 32]"


def test_exports_that_cannot_be_say_so(data: Path, done: regraft.Result, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes 5 channels"):
        regraft.export(done, "onnx", tmp_path / "x.onnx", pixels=True, data=data)
    with pytest.raises((BackboneError, RunError, UsageError), match="timm"):
        regraft.export(done, "timm", tmp_path / "x", data=data)


def test_the_card_reads_five_channels_without_regraft(
    done: regraft.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photo.npy").write_bytes(npy(marked(91)))
    monkeypatch.chdir(tmp_path)
    code = snippet(done.plan).replace("THIS_FOLDER", str(folder(done)))
    names: dict[str, Any] = {"made": lambda: made().eval()}
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        exec(code.replace("network = ...", "network = made()"), names)
    told = done.predict_proba([marked(91)])[0]
    assert np.allclose(names["shares"].numpy(), told, atol=0.02)
    assert "Read uint8 [height, width, 5] of a .npy file" in (folder(done) / "README.md").read_text(
        "utf-8"
    )


def test_the_classifier_of_scikit_learn_takes_five_channels() -> None:
    X, y = np.stack([marked(n) for n in range(40)]), ["ab"[n % 2] for n in range(40)]
    model = regraft.TransferClassifier(made(), view=32).fit(X, y)
    assert model.predict(list(X[:6])).tolist() == y[:6]
    with pytest.raises(regraft.errors.DataError, match="takes 5 channels, this has 3"):
        model.predict(X[..., :3])
