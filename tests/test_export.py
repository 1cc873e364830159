"""Exports: each runs in its own runtime as the RUN does, or is refused and leaves nothing."""

import functools
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

import regraft
from command import Regraft, cli, own_log
from pictures import encode, lay_out, photo
from regraft.backbones import View
from regraft.data.images import inspect
from regraft.errors import DataError, RunError, UsageError
from regraft.export import TARGETS, Exported, export, images, parity, to_onnx
from regraft.export.classifier import square
from regraft.features.engines import carried
from regraft.features.engines.openvino_engine import runtime
from regraft.heads.known import LIMIT
from regraft.networks import build
from regraft.networks.surgery import restore
from regraft.plan.choices import Choices
from regraft.results.load import load
from regraft.run.pretrained import Pretrained
from scenes import each, scenes

__all__ = ["cli", "own_log"]  # fixtures

ODD = {"rings": 'a "b" <c> & \u2028\x07', "squares": "\N{CAT FACE}; drop--", "stripes": "ü,'\\n"}
"""Names that some reader of metadata might stumble over."""

FORMS = {"onnx": "run.onnx", "torch": "run.pt2", "openvino": "run-openvino", "timm": "run-timm"}


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {
        f"{ODD[name.split('/')[0]]}/{name.split('/')[1]}": file
        for name, file in scenes(each(8)).items()
    }
    return lay_out(tmp_path_factory.mktemp("export") / "scenes", files)


@pytest.fixture(scope="session")
def run(data: Path) -> Path:
    """A RUN of case 1 on one of timm's smallest networks, with random weights."""
    record, module = build.load("test_resnet", seed=1)
    out = data.parent / "run"
    regraft.fit(
        data,
        Pretrained(record, lambda: module),
        choices=Choices(case=1, recipe="textbook"),
        out=out,
    )
    return out


@pytest.fixture(scope="session")
def cut(data: Path) -> Path:
    """A RUN of the demonstration network, cut early."""
    out = data.parent / "cut"
    choices = Choices(case=2, cut="conv2", test_fraction=0.25)  # its probabilities are recorded
    regraft.fit(data, "demonstration", choices=choices, out=out)
    return out


def left(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def normalised(run: Path, data: Path, count: int = 5) -> tuple[NDArray[np.float32], list[bytes]]:
    """Images as a network takes them, made without regraft's own code; and their files."""
    view = load(run).plan.backbone
    files = [path.read_bytes() for path in sorted(data.rglob("*.png"))[:count]]
    squares = [inspect(file, [view.view])[1] for file in files]
    x = np.stack([each[0] for each in squares if each]).astype(np.float32) / 255
    x = (x - np.array(view.mean, np.float32)) / np.array(view.std, np.float32)
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)), files


def own(run: Path, files: list[bytes], cache: Path) -> NDArray[Any]:
    """What the RUN gives in float32: neither it nor an empty cache has another engine."""
    bare = cache.with_name("bare")
    shutil.copytree(run, bare, ignore=lambda *_: [carried.FOLDER], dirs_exist_ok=True)
    return load(bare, cache).predict_proba(files)


@pytest.fixture(scope="module")
def exported(
    run: Path, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Exported]:
    """The RUN's export in a form, made once and alone in its folder: an exporter takes seconds."""

    @functools.cache
    def made(to: str) -> Exported:
        return export(run, to, tmp_path_factory.mktemp(to) / FORMS[to], data=str(data))

    return made


def named_outputs(to: str, place: Path, x: Any) -> dict[str, Any]:
    """What an export gives, by name, in its own runtime."""
    if to == "onnx":
        import onnxruntime  # type: ignore[import-untyped]

        session = onnxruntime.InferenceSession(place)
        names = [one.name for one in session.get_outputs()]
        return dict(zip(names, session.run(None, {"pixels": x}), strict=True))
    import openvino

    compiled = openvino.Core().compile_model(
        place / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    found = compiled(x)
    return {one.get_any_name(): found[one] for one in compiled.outputs}


# ---- what is written gives the same


def test_onnx_gives_the_same_in_its_own_runtime(
    run: Path, data: Path, tmp_path: Path, exported: Callable[[str], Exported]
) -> None:
    import onnx
    import onnxruntime

    made = exported("onnx")
    x, files = normalised(run, data)
    session = onnxruntime.InferenceSession(made.path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(None, {"pixels": x}), strict=True))
    wanted = own(run, files, tmp_path / "none")
    np.testing.assert_allclose(found["probabilities"], wanted, atol=2e-3)
    assert names[1:] == ["known", "belief"]
    assert found["known"].tolist() == (found["belief"] > LIMIT).tolist()
    model = onnx.load(made.path)
    about = {prop.key: prop.value for prop in model.metadata_props}
    assert json.loads(about["classes"]) == sorted(ODD.values())
    assert json.loads(about["mean"]) == list(load(run).plan.backbone.mean)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert os.getcwd().encode() not in made.path.read_bytes()  # no path of this machine
    assert left(made.path.parent) == ["run.onnx"]


def test_an_archive_of_torch_gives_the_same_and_holds_no_pickle(
    run: Path, data: Path, tmp_path: Path
) -> None:
    made = export(run, "torch", tmp_path / "out.pt2", data=str(data))
    x, files = normalised(run, data)
    extra = {"regraft.json": ""}
    module = torch.export.load(made.path, extra_files=extra).module()
    with torch.no_grad():
        found = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, own(run, files, tmp_path / "none"), atol=2e-3)
    assert json.loads(json.loads(extra["regraft.json"])["classes"]) == sorted(ODD.values())
    with zipfile.ZipFile(made.path) as archive:
        contents = [archive.read(name) for name in archive.namelist()]
    assert not any(content[:2] in (b"\x80\x02", b"\x80\x04", b"PK") for content in contents)
    assert not any(b'"use_pickle":true' in content.replace(b" ", b"") for content in contents)
    assert not any(os.getcwd().encode() in content for content in contents)


def test_openvino_gives_the_same_and_keeps_float32(
    run: Path, data: Path, tmp_path: Path, exported: Callable[[str], Exported]
) -> None:
    made = exported("openvino")
    assert left(made.path) == ["model.bin", "model.xml"]
    x, files = normalised(run, data)
    core = runtime().Core()
    model = core.read_model(made.path / "model.xml")
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    found = core.compile_model(model, "CPU", settings)(x)[0]
    np.testing.assert_allclose(found, own(run, files, tmp_path / "none"), atol=2e-3)
    classes = model.get_rt_info(["regraft", "classes"]).astype(str)
    assert json.loads(classes) == sorted(ODD.values())
    weights = sum(tensor.nbytes for tensor in load_file(run / "model.safetensors").values())
    assert (made.path / "model.bin").stat().st_size > 0.9 * weights


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_what_is_like_no_training_image_is_told_as_the_run_tells_it(
    to: str, run: Path, data: Path, exported: Callable[[str], Exported]
) -> None:
    made = exported(to)
    [told] = [each for each in made.parities if each.of == "beliefs"]
    assert told.worst <= 1e-3
    assert told.changed == 0
    x, _ = normalised(run, data)
    outputs = named_outputs(to, made.path, x)
    assert list(outputs) == ["probabilities", "known", "belief"]
    assert outputs["known"].dtype == bool
    known = load(run).known
    assert known is not None
    result = load(run)
    about = {"backbone": result.plan.backbone.to_json(), "taps": result.plan.taps}
    model: Any = restore(about | {"classes": result.classes}, result.tensors)
    with torch.no_grad():
        features = model.features(torch.from_numpy(x))
        wanted = known.belief(features.numpy(), model.head(features).numpy())
    np.testing.assert_allclose(outputs["belief"], wanted, atol=1e-3)
    np.testing.assert_array_equal(outputs["known"], outputs["belief"] > LIMIT)
    assert 0 < outputs["known"].mean() <= 1


def test_timm_loads_the_folder_as_one_of_its_own(run: Path, data: Path, tmp_path: Path) -> None:
    import timm

    made = export(run, "timm", tmp_path / "out", data=str(data))
    assert left(made.path) == ["README.md", "config.json", "model.safetensors"]
    assert made.output == "logits: their softmax is the probabilities of the classes"
    module = timm.create_model(f"local-dir:{made.path}", pretrained=True).eval()
    x, files = normalised(run, data)
    with torch.no_grad():
        found = module(torch.from_numpy(x)).softmax(1).numpy()
    np.testing.assert_allclose(found, own(run, files, tmp_path / "none"), atol=2e-3)
    config = json.loads((made.path / "config.json").read_text())
    assert config["label_names"] == sorted(ODD.values())
    assert module.num_classes == config["num_classes"] == 3
    assert config["pretrained_cfg"]["mean"] == list(load(run).plan.backbone.mean)


def test_a_cut_network_is_exported_too(cut: Path, data: Path, tmp_path: Path) -> None:
    made = export(cut, "openvino", tmp_path / FORMS["openvino"], data=str(data))
    first, *others = made.parities
    assert first.worst <= parity.EXACT
    assert first.changed == 0
    assert first.images == 24
    assert others[-1].what.startswith("predictions.csv")  # it is compared with what was recorded


@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_with_pixels_it_takes_photos_of_any_size(
    cut: Path, data: Path, tmp_path: Path, to: str
) -> None:
    made = export(cut, to, tmp_path / FORMS[to], pixels=True, data=str(data))
    run = TARGETS[to].open_file(made.path, None)
    for seed, (width, height) in enumerate([(50, 90), (301, 200), (33, 33)]):
        pixels = np.array(photo(seed, width, height))
        wanted = own(cut, [encode(photo(seed, width, height), "PNG")], tmp_path / "none")
        np.testing.assert_allclose(run(pixels[None]), wanted, atol=5e-3)
    [told] = [each for each in made.parities if each.what.startswith("its preprocessing")]
    assert told.worst < 5e-3


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize(("width", "height"), [(96, 64), (64, 80), (500, 400), (20, 31)])
def test_the_square_is_that_of_the_house(interpolation: str, width: int, height: int) -> None:
    view = View(48, 0.875, interpolation)
    image = photo(5, width, height)
    _, squares = inspect(encode(image, "PNG"), [view])
    assert squares is not None
    x = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
    differ = np.abs(square(x, view)[0].permute(1, 2, 0).numpy() - squares[0])
    assert differ.max() <= 1
    assert (differ > 0).mean() < 0.02


def test_json_says_what_was_compared(cli: Regraft, cut: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.pt2"
    said = cli("export", cut, "--to", "torch", "--out", out, "--data", data, "--json")
    assert said.code == 0, said.err
    assert said.json["bytes"] == out.stat().st_size
    assert {"what", "images", "worst", "mean", "changed"} <= set(said.json["parity"][0])
    again = cli("export", cut, "--to", "torch", "--out", out, "--data", data)
    assert again.code == 1
    assert "--overwrite" in again.err
    said = cli("export", cut, "--to", "torch", "--out", out, "--data", data, "--overwrite")
    assert said.code == 0
    assert "every class is the same" in said.err
    assert str(out) in said.out.replace("\n", "")


# ---- what is refused


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--to", "timm", "--pixels"), "onnx and torch alone"),
        (("--to", "openvino", "--pixels"), "onnx and torch alone"),
        (("ada/bees", "--to", "onnx"), "goes with --to hub alone"),
        (("--to", "onnx", "--private"), "--private"),
        (("--to", "hub"), "needs OWNER/NAME"),
        (("ada/bees", "--to", "hub", "--out", "x"), "takes no --out"),
        (("--to", "onnx", "--out", "x.txt"), "ending in .onnx"),
        (("--to", "pickle"), "pickle"),
    ],
)
def test_what_does_not_go_together_is_said(
    cli: Regraft, cut: Path, words: tuple[str, ...], problem: str
) -> None:
    said = cli("export", cut, *words)
    assert said.code == 2
    assert problem in " ".join(said.err.split())


def test_the_reason_why_timm_cannot_have_it(cut: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no whole network of timm's") as refusal:
        export(cut, "timm", tmp_path / "out", data=str(data))
    said = " ".join(refusal.value.problems)
    assert "demonstration is no network of timm's" in said
    assert "cut after conv2" in said
    assert left(tmp_path) == []


def test_without_images_it_says_how_to_name_them(cut: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="real images") as refusal:
        export(cut, "torch", tmp_path / "out.pt2")
    assert "--data" in " ".join(refusal.value.problems)
    assert left(tmp_path) == []


def test_the_plan_may_say_where_the_images_are(cut: Path, data: Path, tmp_path: Path) -> None:
    known = tmp_path / "known"
    shutil.copytree(cut, known)
    plan = json.loads((known / "plan.json").read_text("utf-8"))
    (known / "plan.json").write_text(json.dumps(plan | {"data": os.path.relpath(data, known)}))
    sample = images.draw(known, load(known).plan, None, most=4)
    assert len(sample) == len(sample.recorded) == 4  # held out, all of them


def test_what_is_no_export_is_never_replaced(cut: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    (tmp_path / "folder.onnx").mkdir()
    for to, name in (("openvino", "mine"), ("onnx", "folder.onnx")):
        with pytest.raises(RunError, match="cannot be written"):
            export(cut, to, tmp_path / name, data=str(data), overwrite=True)
    assert left(tmp_path / "mine") == ["letter.txt"]


def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    cut: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for to in ("torch", "openvino"):
        with pytest.raises(RunError, match="cannot be written"):
            export(cut, to, tmp_path / "file" / FORMS[to], data=str(data))
    assert left(tmp_path) == ["file"]


def test_a_missing_extra_is_named(
    cut: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regraft.export.about.find_spec", lambda name: None)
    with pytest.raises(RunError, match="onnxruntime") as refusal:
        export(cut, "onnx", tmp_path / "out.onnx", data=str(data))
    assert "pip install 'regraft[export]'" in refusal.value.problems[0]


def test_what_a_converter_stumbles_over_is_one_error(
    cut: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: Any) -> None:
        raise ValueError("no rule for this operation\nat length")

    monkeypatch.setattr(to_onnx, "write", stumble)
    with pytest.raises(RunError, match=r"cannot be exported to onnx: no rule for this operation$"):
        raise _headline(cut, tmp_path, data)
    assert left(tmp_path) == []


def _headline(run: Path, place: Path, data: Path) -> RunError:
    with pytest.raises(RunError) as refusal:
        export(run, "onnx", place / "out.onnx", data=str(data))
    return RunError(refusal.value.headline)


def test_an_unknown_target_is_named() -> None:
    with pytest.raises(UsageError, match="'keras'"):
        export(Path("run"), "keras")
