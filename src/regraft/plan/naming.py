"""Names of what a plan speaks of: the stages that are read, heads, and the frozen cases."""

from regraft.backbones import Backbone
from regraft.heads.ridge import Taps
from regraft.plan.evidence import Evidence, Probe


def frozen_case(backbone: Backbone, taps: Taps) -> int:
    """Return the case of a frozen network read at these depths: 1 with the last one, else 2."""
    return 1 if taps[-1] == len(backbone.stages) - 1 else 2


def stages_named(backbone: Backbone, taps: Taps) -> str:
    """Taps in words: ``stage 3``, ``stage 3 to stage 6``."""
    first, last = backbone.stages[taps[0]].name, backbone.stages[taps[-1]].name
    return first if len(taps) == 1 else f"{first} to {last}"


def probe_named(backbone: Backbone, probe: Probe) -> str:
    """Return a head of the evidence in words."""
    stages = stages_named(backbone, probe.taps)
    return f"average of {len(probe.parts)} heads, {stages}" if probe.parts else stages


def weights_named(backbone: Backbone, probe: Probe) -> str:
    """Return how much each stage counts in an average, in words."""
    return ", ".join(f"{backbone.stages[d].name} {share:.0%}" for d, share in probe.weights.items())


def given_from(evidence: Evidence) -> str:
    """Return from which probability on a label is given, in words."""
    if evidence.answer is not None and set(evidence.answer.thresholds) == {0.5}:
        return "a probability of 50% on"
    return "a probability of its own on, half of its best F1 in cross-validation"


def spread_of(evidence: Evidence) -> str:
    """Return of how many training images each class, or label, is; '' of a number."""
    few, many = min(evidence.per_class), max(evidence.per_class)
    spread = f"{few:,}" if few == many else f"{few:,} to {many:,}"
    return {"one": f", {spread} a class", "several": f", {spread} a label"}.get(evidence.kind, "")
