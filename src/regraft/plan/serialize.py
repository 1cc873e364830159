"""Plan <-> JSON. A plan edited by hand is checked whole, and every mistake is named at once."""

import dataclasses
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from regraft.data.splits import EACH_ONCE, Split
from regraft.errors import PlanError
from regraft.heads.average import union
from regraft.plan.definition import VERSION, Plan
from regraft.plan.evidence import Evidence
from regraft.plan.how_many import LearningCurve
from regraft.plan.recipes import MODES, Training


def dumps(plan: Plan) -> str:
    """Return the plan as indented JSON; the same plan gives the same text."""
    return json.dumps(dataclasses.asdict(plan), indent=1, ensure_ascii=False) + "\n"


def loads(text: str, name: str = "plan") -> Plan:
    """Read a plan back.

    Args:
        text: the JSON.
        name: what to call it in an error (a file name).

    Raises:
        PlanError: no JSON, another version, missing, unknown or ill-typed fields, or values that
            contradict each other; all of them are named.
    """
    raw = _parse(text, name)
    _check_version(raw, name)
    plan = _typed(text, name)
    problems = list(contradictions(plan))
    if problems:
        raise PlanError(f"{name} contradicts itself ({len(problems)} mistakes).", problems)
    return plan


def read(path: Path) -> Plan:
    """Read a plan from a file.

    Raises:
        PlanError: it cannot be read, or is no sound plan.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(
            f"The plan {path} cannot be read: {error}.", ["`regraft plan DATA --out` writes one."]
        ) from error
    return loads(text, path.name)


def contradictions(plan: Plan) -> Iterator[str]:
    """Yield what is wrong in a plan whose fields all have the right types, sentence by sentence."""
    last = len(plan.backbone.stages) - 1
    if not plan.taps:
        yield "taps: must name at least one depth, got none."
    elif list(plan.taps) != sorted(set(plan.taps)):
        yield f"taps: must be ascending without repeats, got {list(plan.taps)}."
    elif plan.taps[0] < 0 or plan.taps[-1] > last:
        yield f"taps: must lie in 0..{last} ({plan.backbone.name}), got {list(plan.taps)}."
    elif plan.case in (1, 3, 4) and plan.ran and plan.cut != last:
        yield f"case: case {plan.case} keeps the last stage (depth {last}), taps end at {plan.cut}."
    elif plan.case == 1 and plan.cut != last:
        yield f"case: case 1 keeps the last stage (depth {last}), but taps end at {plan.cut}."
    elif plan.case == 2 and plan.cut == last:
        yield f"case: case 2 cuts before the last stage, but taps end at it (depth {last})."
    if plan.case not in (1, 2, 3, 4):
        yield f"case: must be 1, 2, 3 or 4, got {plan.case}."
    if plan.case in (3, 4) and not plan.trainings:
        yield f"trainings: case {plan.case} needs at least one, got none."
    for number, training in enumerate(plan.trainings):
        yield from (f"trainings.{number}.{problem}" for problem in _training(training, plan))
    if plan.indicated not in (1, 2, 3, 4):
        yield f"indicated: must be a case from 1 to 4, got {plan.indicated}."
    if not plan.strength > 0:
        yield f"strength: the penalty must be above 0, got {plan.strength}."
    if plan.weighting not in ("none", "balanced"):
        yield f"weighting: must be none or balanced, got {plan.weighting!r}."
    if plan.split not in ("test", "val", "held out", EACH_ONCE):
        yield f"split: must be test, val, held out or {EACH_ONCE}, got {plan.split!r}."
    if plan.split == EACH_ONCE and plan.case in (3, 4) and not plan.ran:
        yield f"split: a network that is trained is judged on held out images, got {EACH_ONCE}."
    if plan.test_fraction is not None and not 0 < plan.test_fraction < 1:
        yield f"test_fraction: must lie between 0 and 1, got {plan.test_fraction}."
    yield from _answer(plan)
    if not 0 <= plan.evidence.chosen < len(plan.evidence.probes):
        yield (
            f"evidence.chosen: must lie in 0..{len(plan.evidence.probes) - 1}, "
            f"got {plan.evidence.chosen}."
        )
    if plan.evidence.whole is not None and not plan.evidence.whole < len(plan.evidence.probes):
        yield (
            f"evidence.whole: must be below {len(plan.evidence.probes)}, got {plan.evidence.whole}."
        )
    yield from _evidence(plan)
    if plan.learning_curve is not None:
        yield from _learning_curve(plan.learning_curve)
    if not plan.evidence.temperature > 0:
        yield f"evidence.temperature: must be above 0, got {plan.evidence.temperature}."


def _answer(plan: Plan) -> Iterator[str]:
    """Yield what is wrong in the classes, and in how outputs become answers."""
    classes, answer = plan.evidence.classes, plan.evidence.answer
    if answer is None:
        if len(classes) < 2:
            yield f"evidence.classes: must name at least two, got {list(classes)}."
        return
    if answer.kind not in ("several", "number"):
        yield f"evidence.answer.kind: must be several or number, got {answer.kind!r}."
    if not classes or (answer.kind == "number" and len(classes) > 1):
        yield f"evidence.classes: must name the {answer.kind}, got {list(classes)}."
    needed = {"slopes": 1, "offsets": 1, "thresholds": answer.kind == "several"}
    for field, wanted in needed.items():
        if wanted and len(getattr(answer, field)) != len(classes):
            found = len(getattr(answer, field))
            yield f"evidence.answer.{field}: must be {len(classes)}, one a class, got {found}."
    if not answer.spread > 0:
        yield f"evidence.answer.spread: must be above 0, got {answer.spread}."


def _evidence(plan: Plan) -> Iterator[str]:
    """Yield what is wrong in the averages of heads, sentence by sentence."""
    evidence, last = plan.evidence, len(plan.backbone.stages) - 1
    if evidence.cut is not None and not 0 <= evidence.cut < len(evidence.probes):
        yield f"evidence.cut: must lie in 0..{len(evidence.probes) - 1}, got {evidence.cut}."
    if evidence.end is not None and not 0 <= evidence.end <= last:
        yield f"evidence.end: must lie in 0..{last}, got {evidence.end}."
    for number, probe in enumerate(evidence.probes):
        where = f"evidence.probes.{number}.parts"
        for part in probe.parts:
            for field in ("strength", "weight", "scale"):
                if not getattr(part, field) > 0:
                    yield f"{where}: {field} must be above 0, got {getattr(part, field)}."
        if probe.parts and union(probe.parts) != probe.taps:
            got = list(union(probe.parts))
            yield f"{where}: together they must read {list(probe.taps)}, got {got}."


def _learning_curve(curve: LearningCurve) -> Iterator[str]:
    """Yield what is wrong in a learning curve: what is told is whole, in order, and shares."""
    if curve.untold:
        return
    for field in ("measured", "ahead"):
        points = getattr(curve, field)
        images = [point.images for point in points]
        if not images or min(images) < 1 or images != sorted(images):
            yield f"learning_curve.{field}: images must be at least 1 and ascend, got {images}."
        shares = [share for point in points for share in (point.accuracy, *point.interval)]
        if any(not 0 <= share <= 1 for share in shares):
            yield f"learning_curve.{field}: accuracies must lie in 0..1, got {shares}."
    missing = {1, 2, 4} - {p.images / curve.ahead[0].images for p in curve.ahead if p.images}
    if curve.ahead and missing:
        yield f"learning_curve.ahead: must have 1, 2 and 4 times the first images, lacks {missing}."


def outdated(plan: Plan, notes: Collection[str]) -> Iterator[str]:
    """Why a plan of an earlier regraft is not for these images; ``notes`` are the audit's.

    Plans did not say what they chose ``among`` when such pictures were read otherwise.
    """
    found = [note for note in ("16-bit", "white-on-clear") if note in notes]
    if found and not plan.among:
        yield (
            f"The plan is of an earlier regraft, which read {' and '.join(found)} pictures "
            "otherwise, and there are such pictures among the images."
        )


def parted_otherwise(plan: Plan, sides: Split) -> Iterator[str]:
    """Why a plan is not for images that are parted like this.

    What it chose it chose on its training images: on other sides, held-out images had a part in it.
    """
    train, test = len(sides.train), len(sides.test)
    if plan.split == EACH_ONCE != sides.origin:
        yield (
            "The plan holds every image out once, which is for small sets without a test of their "
            f"own; here {test:,} images are held out ({sides.origin})."
        )
    elif plan.split != sides.origin:
        yield f"split: the plan's is {plan.split}, that of the images is {sides.origin}."
    elif (plan.train, plan.test) != (train, test):
        yield (
            f"The plan was made by {plan.train:,} images, to be judged on {plan.test:,}; with its "
            f"split ({plan.split}) there are {train:,} and {test:,}. A split is not changed in a "
            "plan, for its choices would have seen what they are judged on: --test-fraction "
            "makes one that holds a share out, without it small sets are cross-validated."
        )


def _training(training: Training, plan: Plan) -> Iterator[str]:
    """Yield what is wrong in a recipe, sentence by sentence."""
    names = [stage.name for stage in plan.backbone.stages]
    if training.trainable_from not in names:
        yield f"trainable_from: must be one of {', '.join(names)}, got {training.trainable_from!r}."
    if not training.taps or training.taps[-1] != len(names) - 1:
        yield f"taps: must end at the last depth, {len(names) - 1}, got {list(training.taps)}."
    elif list(training.taps) != sorted(set(training.taps)) or training.taps[0] < 0:
        yield f"taps: must be ascending without repeats, got {list(training.taps)}."
    if not training.rates or not all(0 < rate <= 1 for rate in training.rates):
        yield f"rates: must lie above 0 and at most at 1, got {list(training.rates)}."
    if training.mode and training.mode not in MODES:
        yield f"mode: must be one of {', '.join(MODES)}, or empty, got {training.mode!r}."
    for field in ("epochs", "batch", "patience", "hopeless"):
        if getattr(training, field) < 1:
            yield f"{field}: must be at least 1, got {getattr(training, field)}."
    for field, low in (("decay", True), ("crop", True), ("smoothing", False), ("warmup", False)):
        value = getattr(training, field)
        if not (0 < value <= 1 if low else 0 <= value < 1):
            yield f"{field}: must lie in 0..1, got {value}."


def evidence_dumps(evidence: Evidence) -> bytes:
    """Return evidence alone as JSON, as a plan has it, for the cache."""
    return json.dumps(dataclasses.asdict(evidence), ensure_ascii=False).encode()


def evidence_loads(data: bytes) -> Evidence:
    """Read back what `evidence_dumps` gave."""
    from pydantic import TypeAdapter

    return TypeAdapter(Evidence).validate_json(data, strict=True, extra="forbid")


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise PlanError(f"{name} is not JSON: {error.msg} at {where}.") from error
    if not isinstance(raw, dict):
        raise PlanError(f"{name} must hold one JSON object, got a {type(raw).__name__}.")
    return raw


def _check_version(raw: dict[str, Any], name: str) -> None:
    if raw.get("version") != VERSION:
        raise PlanError(
            f"{name} has plan version {raw.get('version')!r}; this regraft reads {VERSION}.",
            ["Make it again with `regraft plan DATA --out plan.json`."],
        )


def _typed(text: str, name: str) -> Plan:
    """Every field of the right type, none missing and none unknown."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Plan).validate_json(text, strict=True, extra="forbid")
    except ValidationError as error:
        problems = [_in_words(entry) for entry in error.errors()]
        raise PlanError(f"{name} has {len(problems)} mistakes.", problems) from error


def _in_words(entry: Any) -> str:
    """One of pydantic's findings as: the field, the rule, the value found."""
    field = ".".join(str(part) for part in entry["loc"])
    if entry["type"] == "missing":
        return f"{field}: is missing."
    if entry["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{field}: no such field; take it out or correct its name."
    rule = entry["msg"][0].lower() + entry["msg"][1:]
    return f"{field}: {rule}, got {entry['input']!r}."
