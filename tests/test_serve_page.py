"""The page in a real browser: images are really dropped on it."""

import csv
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import regraft
from browser import CHROMIUM, Page, browser
from pictures import jpeg
from regraft.serve import Model, application, ready
from scenes import KINDS, scene
from serving import serving, small_run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

TOKEN = "sesame"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return ready(regraft.load(small_run(tmp_path_factory.mktemp("page"))))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def page(model: Model, chromium: Page) -> Iterator[Page]:
    chromium.size(1440, 900)
    chromium.errors.clear()
    with serving(application(model)) as url:
        chromium.open(url)
        chromium.wait("!document.getElementById('ask').hidden")
        yield chromium


def images(folder: Path) -> list[Path]:
    """One of each kind, one with a name that would be markup, and one that is none."""
    found = {f"{kind}.png": scene(kind, 70) for kind in KINDS}
    found |= {"<img src=x onerror=alert(1)>, a.png": scene("rings", 71), "notes.jpg": b"words"}
    for name, data in found.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in found]


def shown(page: Page) -> dict[str, str]:
    """What each card shows: the name, and its first class or what is wrong."""
    page.wait("[...document.querySelectorAll('.card')].every(c => !/^(waiting|looking)/.test("
              "c.querySelector('.state').textContent))")  # fmt: skip
    pairs = page.value(
        "[...document.querySelectorAll('.card')].map(c => [c.querySelector('h3').textContent, "
        "(c.querySelector('.bars li span') || c.querySelector('.state')).textContent])"
    )
    return dict(pairs)


def test_dropped_images_are_classified_and_what_is_none_is_named(
    page: Page, tmp_path: Path
) -> None:
    files = images(tmp_path)
    page.drop("#drop", files)
    page.wait(f"document.querySelectorAll('.card').length === {len(files)}")
    seen = shown(page)
    assert {name: seen[f"{name}.png"] for name in KINDS} == {name: name for name in KINDS}
    assert seen["<img src=x onerror=alert(1)>, a.png"] == "rings"
    assert seen["notes.jpg"].startswith("Not classified:")
    assert page.value("document.getElementById('said').textContent").startswith("5 images")
    assert page.value("document.querySelectorAll('.bars').length * 3") >= 12
    stopped = [error for error in page.errors if "415" not in error]
    assert stopped == []  # no exception, and nothing against the security policy


def test_what_is_like_no_training_image_is_said_to_be(page: Page, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(jpeg(3))
    (tmp_path / "rings.png").write_bytes(scene("rings", 1))
    page.drop("#drop", sorted(tmp_path.iterdir()))
    shown(page)
    states = page.value(
        "Object.fromEntries([...document.querySelectorAll('.card')].map(c => "
        "[c.querySelector('h3').textContent, c.querySelector('.state').textContent]))"
    )
    assert states == {
        "photo.jpg": "Like no training image: perhaps none of these.",
        "rings.png": "",
    }


def test_the_depth_of_the_decision_is_shown(page: Page, model: Model) -> None:
    words = page.value("document.getElementById('network').innerText")
    assert "demonstration" in words
    assert "Case 1" in words
    plan = model.result.plan
    read = page.value("[...document.querySelectorAll('#stages .read')].map(e => e.innerText)")
    assert [text.split()[0] for text in read] == [
        plan.backbone.stages[depth].name for depth in plan.taps
    ]
    assert all(f"(depth {depth})" in words for depth in (plan.taps[0], plan.taps[-1]))


def test_corrections_are_saved_as_a_table(page: Page, tmp_path: Path) -> None:
    page.drop("#drop", images(tmp_path))
    page.wait("document.querySelectorAll('.right:not([hidden])').length === 4")
    page.value(
        "for (const card of document.querySelectorAll('.card')) {"
        "  const select = card.querySelector('select');"
        "  if (!/<img|stripes/.test(card.querySelector('h3').textContent)) continue;"
        "  select.value = 'squares'; select.dispatchEvent(new Event('change')); }"
    )
    there = tmp_path / "saved"
    there.mkdir()
    page("Page.setDownloadBehavior", behavior="allow", downloadPath=str(there))
    page.value("document.getElementById('save').click()")
    end = time.monotonic() + 300
    while not (there / "corrections.csv").exists() and time.monotonic() < end:
        time.sleep(0.05)
    with (there / "corrections.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["path", "label"]
    assert sorted(rows[1:]) == [
        ["<img src=x onerror=alert(1)>, a.png", "squares"],
        ["stripes.png", "squares"],
    ]


def test_images_are_chosen_and_pasted_too(page: Page, tmp_path: Path) -> None:
    file = images(tmp_path)[0]
    root = page("DOM.getDocument")["root"]["nodeId"]
    for selector in ("#choose", "#camera"):
        node = page("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        page("DOM.setFileInputFiles", nodeId=node, files=[str(file)])
    page.value(
        "(() => { const canvas = document.createElement('canvas'); canvas.width = 64;"
        " return new Promise(done => canvas.toBlob(blob => { const data = new DataTransfer();"
        " data.items.add(new File([blob], 'image.png'));"
        " document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data})); done(1); }))"
        "})()"
    )
    page.wait("document.querySelectorAll('.card').length === 3")
    names = sorted(shown(page))
    assert [name.partition("-")[0] for name in names] == ["pasted", "photo", "rings.png"]
    kept = "[...document.querySelectorAll('.keep:not([hidden])')].map(a => a.download)"
    assert sorted(page.value(kept)) == names[:2]


def test_the_page_works_by_keyboard_and_on_a_phone(page: Page) -> None:
    page("Input.dispatchKeyEvent", type="keyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert page.value("document.activeElement.id") == "choose"
    assert (
        page.value("getComputedStyle(document.activeElement.parentElement).outlineStyle") == "solid"
    )
    page.size(360, 740, phone=True)
    assert page.value("document.documentElement.scrollWidth") <= 360
    assert page.value("getComputedStyle(document.getElementById('photo')).display") != "none"
    papers = []
    for scheme in ("light", "dark"):
        page.scheme(scheme)
        papers.append(page.value("getComputedStyle(document.body).backgroundColor"))
    assert papers == ["rgb(255, 255, 255)", "rgb(20, 23, 28)"]


def test_the_page_asks_for_a_token_where_one_is_needed(
    model: Model, chromium: Page, tmp_path: Path
) -> None:
    enter = (
        "document.getElementById('token').value = {!r};"
        "document.querySelector('#door .main').click()"
    )
    with serving(application(model, token=TOKEN)) as url:
        chromium.open(url)
        chromium.wait("!document.getElementById('door').hidden")
        chromium.value(enter.format("wrong"))
        chromium.wait("document.getElementById('door-said').textContent !== ''")
        chromium.value(enter.format(TOKEN))
        chromium.wait("!document.getElementById('ask').hidden")
        chromium.drop("#drop", images(tmp_path)[:1])
        chromium.wait("document.querySelectorAll('.card').length === 1")
        assert shown(chromium) == {"rings.png": "rings"}


OF_EACH = (
    "Object.fromEntries([...document.querySelectorAll('.card')].map(c => "
    "[c.querySelector('h3').textContent, {}]))"
)
GIVEN = "[...c.querySelectorAll('.bars .given')].map(e => e.firstChild.textContent)"
MARKS = (
    "[...document.querySelectorAll('.card:first-child .track i')]"
    ".map(mark => parseFloat(mark.style.left))"
)
TICK_ALL = """(async card => {
    card.querySelector('details').open = true;
    while (!card.querySelector('.boxes input')) await new Promise(done => setTimeout(done, 10));
    const boxes = [...card.querySelectorAll('input')];
    for (const box of boxes) box.checked = true;
    boxes[0].dispatchEvent(new Event('change', {bubbles: true}));
})(document.querySelector('.card'))"""
TYPE = """(field => {
    field.value = '7.5';
    field.dispatchEvent(new Event('change', {bubbles: true}));
})(document.querySelector('.card input'))"""


@pytest.mark.parametrize("kind", ["several", "number"])
def test_labels_and_a_number_are_shown_and_corrected(
    kind: str, request: pytest.FixtureRequest, chromium: Page
) -> None:
    run: Path = request.getfixturevalue(f"{kind}_run")
    files = sorted((run.parent / {"several": "marks", "number": "shades"}[kind]).glob("*.png"))[:4]
    result = regraft.load(run)
    told = {file.name: one for file, one in zip(files, result.predict(files), strict=True)}
    chromium.size(360, 740, phone=True)
    chromium.errors.clear()
    with serving(application(ready(result))) as url:
        chromium.open(url)
        chromium.wait("!document.getElementById('ask').hidden")
        chromium.drop("#drop", files)
        chromium.wait("document.querySelectorAll('.card .right:not([hidden])').length === 4")
        about = chromium.value("document.getElementById('about').textContent")
        if kind == "number":
            assert about.startswith("Tells a number: level. Off by ")
            seen = chromium.value(OF_EACH.format("c.querySelector('.value').textContent"))
            for name, one in told.items():
                shown = float(seen[name].removeprefix("level: "))
                assert shown == pytest.approx(one.value, abs=0.06)
            assert chromium.value("document.querySelectorAll('.scale .tick').length") == 4
            chromium.value(TYPE)
        else:
            assert about.startswith("Knows 3 labels: rings, squares, stripes. ")
            seen = chromium.value(OF_EACH.format(GIVEN))
            assert seen == {name: list(one.labels or ()) for name, one in told.items()}
            wanted = sorted(100 * least for least in result.thresholds)
            assert sorted(chromium.value(MARKS)) == pytest.approx(wanted, abs=1e-3)
            chromium.value(TICK_ALL)
        kept = chromium.value("cards.filter(card => card.correction).map(card => card.correction)")
        assert kept == ["7.5" if kind == "number" else "rings|squares|stripes"]
        assert chromium.value("document.documentElement.scrollWidth") <= 360
    assert chromium.errors == []
