"""Why a plan is as it is: rules, the measured facts, and where the rules come from."""

from collections.abc import Sequence

from regraft.backbones import Backbone
from regraft.heads.tasks.words import words_of
from regraft.plan.averaging import CUT, UNSURE
from regraft.plan.choices import Choices
from regraft.plan.definition import Reason
from regraft.plan.evidence import Evidence
from regraft.plan.gain import WORTH, WORTH_A_BUDGET, asked, gain_of, worth_training
from regraft.plan.naming import spread_of, stages_named, weights_named
from regraft.plan.recipes import Training
from regraft.plan.similarity import SIMILAR
from regraft.plan.size import LARGE


def reasons_of(
    backbone: Backbone,
    evidence: Evidence,
    indicated: int,
    choices: Choices,
    wanted: Sequence[Training],
    trainings: Sequence[Training],
) -> tuple[Reason, ...]:
    """Return why the plan is as it is: each a rule, the fact it was applied to, its source.

    ``wanted``: the trainings that the evidence or a person asks for; ``trainings``: those of them
    that there is time for.
    """
    free = choices.case in (None, "frozen") and choices.cut is None and not asked(choices)
    reasons = [_size_reason(evidence, indicated)]
    reasons.append(_similarity_reason(backbone, evidence, free=free))
    reasons.append(_head_reason(backbone, evidence, free=free))
    if evidence.averages and None not in (evidence.whole, evidence.cut):
        reasons.append(_cut_reason(backbone, evidence))
    if not evidence.learnt:
        reasons.append(_nothing_reason(evidence))
    if free and choices.recipe == "textbook" and choices.case is None:
        reasons.append(_textbook_reason(evidence, indicated))
    elif free and (trainings or choices.case is None):
        reasons.append(_training_reason(evidence, indicated, choices, wanted, trainings))
    if choices.named():
        fact = f"Asked for: {', '.join(choices.named())}."
        reasons.append(Reason("What a person asks for overrules the evidence.", fact, "you"))
    return tuple(reasons)


def _size_reason(evidence: Evidence, indicated: int) -> Reason:
    word = "large" if evidence.large else "small"
    rule = (
        "A small set overfits a large network, so its trunk stays frozen."
        if indicated in (1, 2) and not evidence.large
        else "The larger the set, the less a network that is trained on it overfits."
    )
    return Reason(
        rule,
        f"{evidence.images:,} training images{spread_of(evidence)}: {word} "
        f"(size {evidence.size:.2f}, large from {LARGE}).",
        "measured; the line: docs/benchmarks.md",
    )


def _similarity_reason(backbone: Backbone, evidence: Evidence, *, free: bool) -> Reason:
    """``free``: whether the cut was left to the evidence."""
    word = "similar to" if evidence.similar else "different from"
    last, words = evidence.depths[-1], words_of(evidence.kind)
    best = max(reversed(evidence.depths), key=lambda probe: probe.accuracy)
    where = backbone.stages[best.taps[0]].name
    peak = (
        "and no earlier stage does better"
        if best is last
        else f"the best single stage, {where}, {words.tells(best.accuracy)}"
    )
    found = (
        f"{word} {backbone.source} (similarity {evidence.similarity:.2f}, similar from {SIMILAR})"
    )
    tells = f"The last stage {words.tells(last.accuracy)}{words.of}, {peak}"
    still = ""
    whole = evidence.probes[evidence.chosen].taps[-1] == last.taps[0]
    if whole and free and not evidence.similar:
        still = " Yet the last stage counts, so nothing is cut off."
    if evidence.shift:
        return Reason(
            "Batch norm remembers how the channels varied on the source; where they vary alike the "
            "new images are similar to it, however hard they are to tell apart.",
            f"By the channels of the later stages: {found}. {tells}.{still}",
            "measured; Li et al. 2016",
        )
    return Reason(
        f"Stages near the end are specific to the source; where none before them {words.better} "
        "the new images are similar to it.",
        f"{tells}: {found}.{still}",
        "measured; Yosinski et al. 2014",
    )


def _head_reason(backbone: Backbone, evidence: Evidence, *, free: bool) -> Reason:
    """Return what the frozen network's new layer reads; ``free``: the evidence alone chose it."""
    chosen, words = evidence.probes[evidence.chosen], words_of(evidence.kind)
    source = f"measured, {evidence.folds}-fold cross-validation"
    if not evidence.averages:
        return _single_reason(backbone, evidence, source, free=free)
    single = max(evidence.single, key=lambda probe: probe.accuracy)
    fact = (
        f"The average of {len(chosen.parts)} heads {words.tells(chosen.accuracy)}, the "
        f"{words.most} one ({stages_named(backbone, single.taps)}) {words.told(single.accuracy)}; "
        f"what counts: {weights_named(backbone, chosen)}."
        if chosen.parts
        else f"Here one alone counts, that on {stages_named(backbone, chosen.taps)}: it "
        f"{words.tells(chosen.accuracy)}."
    )
    return Reason(
        "Heads on different depths are averaged, each counting the more the less it errs: that "
        "loses less than picking one. Their sum is one layer.",
        fact,
        f"{source}; docs/benchmarks.md",
    )


def _single_reason(backbone: Backbone, evidence: Evidence, source: str, *, free: bool) -> Reason:
    """Return why one head is read alone."""
    chosen, words = evidence.probes[evidence.chosen], words_of(evidence.kind)
    best = min(evidence.single, key=lambda probe: probe.loss)
    fact = f"Reading {stages_named(backbone, chosen.taps)} {words.tells(chosen.accuracy)}"
    fits = f"{stages_named(backbone, best.taps)} fits best ({words.told(best.accuracy)})"
    if not free and chosen.excess > chosen.excess_error:
        fact += f"; {fits}, but what was asked for leaves it out."
    elif chosen is not best:
        fact += f"; {fits}, but the difference is within one standard error."
    elif free:
        fact += (
            ", and by the squared error of the scores, which decides, nothing simpler comes "
            "within one standard error of it."
        )
    else:
        fact += ", and by the squared error of the scores, which decides, it fits best."
    return Reason("Of the depths that do equally well, the simplest is read.", fact, source)


def _cut_reason(backbone: Backbone, evidence: Evidence) -> Reason:
    """Return why stages at the end are cut off or not, where both could be had."""
    assert evidence.whole is not None
    assert evidence.cut is not None
    whole, cut = evidence.probes[evidence.whole], evidence.probes[evidence.cut]
    words = words_of(evidence.kind)
    kept, share = evidence.probes[evidence.chosen].taps[-1], evidence.tail
    stays = kept == len(backbone.stages) - 1
    border = backbone.stages[kept].name
    what = border if stays else f"what comes after {border}"
    alike = (
        " That is near the line: cases 1 and 2 are as good here."
        if UNSURE[0] <= share <= UNSURE[1]
        else ""
    )
    return Reason(
        "Stages at the end are cut off where the heads that read them hardly count.",
        f"Those that read {what} have {share:.0%} of the weight (cut off up to {CUT:.0%}). With "
        f"the last stage the frozen network {words.tells(whole.accuracy)}, without "
        f"it {words.told(cut.accuracy)}.{alike}",
        f"measured, {evidence.folds}-fold cross-validation; docs/benchmarks.md",
    )


def _nothing_reason(evidence: Evidence) -> Reason:
    """Return that the labels have nothing to do with what the network sees."""
    words = words_of(evidence.kind)
    got, guess = words.told(evidence.expected), words.told(evidence.guess)
    fact = {
        "one": f"The network is expected to be right for {got}; always naming the commonest class "
        f"is for {guess}.",
        "several": f"The network is expected to reach a mean average precision of {got}; giving "
        f"all images the same probabilities reaches {guess}.",
        "number": f"The network is expected to reach an R2 of {got}; always naming the mean "
        f"reaches {guess}.",
    }[evidence.kind]
    what = "numbers" if evidence.kind == "number" else "labels"
    return Reason(
        "Where cross-validation tells no more than guesses do, nothing is learnt.",
        f"{fact} Either the {what} have nothing to do with what the network sees, or "
        f"{evidence.images:,} images are too few to show that they have.",
        f"measured, {evidence.folds}-fold cross-validation",
    )


def _training_reason(
    evidence: Evidence,
    indicated: int,
    choices: Choices,
    wanted: Sequence[Training],
    trainings: Sequence[Training],
) -> Reason:
    """Return why the network is trained or not, and how it can be otherwise."""
    if evidence.answer is not None:
        return _untold_training_reason(evidence, indicated, choices, wanted, trainings)
    gain, budget = gain_of(evidence), choices.budget
    fact = f"Here it is expected to {gain.said}"
    near = " That is near the line: trained and frozen are as good here."
    near = near if budget is None and gain.near else ""
    if trainings:
        fact += f", so this is case {indicated}; the frozen network is kept where it wins nothing."
        if trainings != wanted and budget is None:
            fact += " Ten minutes are the most for it unasked; --case 3 takes all it needs."
    elif not evidence.learnt:
        return _frozen("What tells nothing of the classes when frozen is not trained unasked")
    elif wanted and budget is not None:
        return _frozen(f"{fact}. The budget does not last for one epoch of training")
    elif wanted:
        few = "Ten minutes, the most for it unasked, do not last for half of its epochs here"
        return _frozen(f"{fact}. {few}")
    elif worth_training(evidence, budget):
        fifth = "without the fifth that would have to be held out to judge it"
        return _frozen(f"{fact}, but less {fifth}")
    elif budget is not None:
        return _frozen(
            f"{fact}, and within a budget it has to be more than {100 * WORTH_A_BUDGET:g}"
        )
    else:
        line = f"more than {100 * WORTH:g} with its lower end above 0"
        fact += f", and unasked it has to be {line}, so it stays frozen; --case 3 trains it, "
        fact += f"--budget 10m where it may win more than {100 * WORTH_A_BUDGET:g}."
    return _of_training(f"{fact}{near}")


def _untold_training_reason(
    evidence: Evidence,
    indicated: int,
    choices: Choices,
    wanted: Sequence[Training],
    trainings: Sequence[Training],
) -> Reason:
    """Return the same where what training wins was not measured on other sets."""
    tells = words_of(evidence.kind).tells(evidence.expected)
    budget, so = choices.budget, "so it stays frozen; --case 3 trains it"
    if trainings:
        fact = f"There is time for it, so this is case {indicated}: validation images decide, and "
        fact += "the frozen network is kept where it wins nothing."
    elif not evidence.learnt:
        fact = f"What tells nothing when frozen is not trained unasked, {so}."
    elif wanted:
        fact = f"The budget does not last for one epoch of training, {so}."
    elif budget is not None and worth_training(evidence, budget):
        fifth = "the fifth that would have to be held out to judge it"
        fact = f"So few images leave none to spare for {fifth}, {so}."
    elif budget is not None:
        fact = f"The frozen network {tells} already, {so}."
    else:
        fact = f"Nobody asked for it, {so}, --budget 10m tries it for as long."
    kind = "several labels an image" if evidence.kind == "several" else "a number"
    return Reason(
        f"What training wins is known of one label an image; of {kind} it is tried where it is "
        "asked for, or where a --budget leaves the time.",
        fact,
        "regraft's rule",
    )


def _frozen(fact: str) -> Reason:
    return _of_training(f"{fact}, so it stays frozen; --case 3 trains it.")


def _textbook_reason(evidence: Evidence, indicated: int) -> Reason:
    """Return what the table of the four cases says."""
    size = "large" if evidence.large else "small"
    does = f"this is case {indicated}" if evidence.large else "the network stays frozen"
    return Reason(
        "By the table of the four cases a large set trains the network, and a small one leaves it "
        "frozen.",
        f"{evidence.images:,} training images are {size}, so {does}; --case overrules it.",
        "the textbook",
    )


def _of_training(fact: str) -> Reason:
    return Reason(
        "Training wins the more, the more images there are and the less they are like the source.",
        fact,
        "measured on other sets; docs/benchmarks.md",
    )
