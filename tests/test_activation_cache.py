"""A network split at the border is the same network; what is held there is what was computed."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import smallnet
from known import KNOWN, Case, case, described
from regraft.errors import BackboneError
from regraft.finetune.activation_cache import CHUNK, ActivationCache
from regraft.networks.split import FrozenPart, TrainedPart, split
from regraft.networks.surgery import TransferNetwork, operate

CLASSES = 3


def small() -> Case:
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return Case(smallnet.record(), smallnet.small(), images)


def partly(it: Case, first: int, taps: list[int] | None = None) -> TransferNetwork:
    """A network that is trained from a stage on, reading one tap on each side of the border."""
    last = len(it.backbone.stages) - 1
    names = [stage.name for stage in it.backbone.stages[:first]]
    taps = [first - 1, last] if taps is None else taps
    network, _ = operate(it.module, it.backbone, taps=taps, classes=CLASSES, frozen=names)
    return network


@pytest.fixture(scope="module", params=[*KNOWN, "small"])
def known(request: pytest.FixtureRequest) -> Case:
    return small() if request.param == "small" else case(request.param)


def borders(it: Case) -> list[int]:
    """Early, in the middle and before the last stage."""
    if it.backbone.name == "small":  # after its third stage comes a residual around that stage
        return [1, 2]
    last = len(it.backbone.stages) - 1
    return sorted({1, (last + 1) // 2, last})


def learned(
    network: TransferNetwork, run: Callable[[Tensor], Tensor], images: Tensor
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Logits in training mode, gradients by name, and the state afterwards."""
    network.zero_grad()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)  # for dropout and stochastic depth
        logits = run(images)
    nn.functional.cross_entropy(logits, torch.arange(len(images))).backward()
    gradients = {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}
    return logits.detach(), gradients, {n: t.clone() for n, t in network.state_dict().items()}


def test_a_split_network_is_the_whole_one(known: Case) -> None:
    for first in borders(known):
        network = partly(known, first)
        both = split(network, first, known.backbone)
        assert both is not None, f"no border before stage {first}"
        front, back = both
        value, taps = front.train()(known.images)
        assert len(taps) == 1
        assert not value.requires_grad
        with torch.no_grad():
            assert torch.equal(back(value, taps), network(known.images))
        start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        logits, wanted, after = learned(network.train(), network, known.images)
        network.eval().load_state_dict(start)
        seen = [value.clone(), *(tap.clone() for tap in taps)]
        back.train()
        mine, gradients, state = learned(network, partial(again, back, value, taps), known.images)
        assert torch.equal(mine, logits)
        assert gradients.keys() == {n for n, p in network.named_parameters() if p.requires_grad}
        assert gradients.keys() == wanted.keys()
        assert all(torch.equal(gradients[name], wanted[name]) for name in wanted)
        assert all(torch.equal(state[name], after[name]) for name in after)  # batch norm too
        assert all(torch.equal(one, two) for one, two in zip([value, *taps], seen, strict=True))


def again(back: TrainedPart, value: Tensor, taps: list[Tensor], images: Tensor) -> Tensor:
    logits: Tensor = back(value, taps)
    return logits


def test_the_back_trains_the_network_and_keeps_its_policy() -> None:
    it = small()
    network = partly(it, 1, [2])
    network.eval_modules |= {"two.1"}
    both = split(network, "two", it.backbone)
    assert both is not None
    front, back = both
    value, taps = front(it.images)
    assert taps == []
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    back.train()
    assert network.training
    assert not network.trunk.get_submodule("two.1").training
    assert not front.training
    front.eval()  # says nothing about the network, which is in training
    assert network.trunk.get_submodule("three").training
    optimizer = torch.optim.SGD(back.parameters(), lr=0.1)
    nn.functional.cross_entropy(back(value, taps), torch.arange(2)).backward()
    optimizer.step()
    changed = {n for n, t in network.state_dict().items() if not torch.equal(t, before[n])}
    assert changed == {n for n, p in network.named_parameters() if p.requires_grad}
    back.eval()
    assert not network.trunk.training


def test_where_there_is_no_border() -> None:
    it = small()
    names = [stage.name for stage in it.backbone.stages]

    def cut(frozen: Any, taps: list[int]) -> TransferNetwork:
        return operate(it.module, it.backbone, taps=taps, classes=2, frozen=frozen)[0]

    assert split(cut(False, [2]), 0, it.backbone) is None  # nothing lies before
    assert split(cut(False, [2]), 1, it.backbone) is None  # what lies before is trained
    assert split(cut("one.0.*", [2]), 1, it.backbone) is None  # some of it is
    assert split(cut(names[:1], [0]), 1, it.backbone) is None  # nothing lies behind
    assert split(cut(names[:1], [2]), 2, it.backbone) is None  # the stage between is trained
    assert split(cut(names[:2], [2]), 1, it.backbone) is not None  # a frozen one behind may be
    with pytest.raises(BackboneError, match="no stage 'four'") as caught:
        split(cut(True, [2]), "four", it.backbone)
    assert "one, two, three" in str(caught.value)


class Twice(nn.Module):
    """The last stage reads the first one's value as well, or the image, or one module again."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.one, self.two = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.three, self.four, self.act = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), nn.ReLU()
        self.scale = nn.Parameter(torch.full((4, 1, 1), 2.0), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.scale + 1
        one = self.act(self.one(x)) * scale
        two = self.act(self.two(one))
        match self.how:
            case "skip":
                two = two + one
            case "image":
                two = two + x.mean((1, 2, 3), keepdim=True)
            case "size":
                two = two / x.shape[0]
            case "random":
                two = nn.functional.dropout(two, 0.5, self.training)
            case "constant":
                two = two * scale
        four: Tensor = self.four(self.three(two))
        return four


@pytest.mark.parametrize("how", ["", "skip", "image", "size", "random", "constant"])
def test_only_what_goes_through_the_one_value_can_be_split(how: str) -> None:
    module = Twice(how).eval()
    backbone = described(module, ["one", "two", "three", "four"])
    it = Case(backbone, module, torch.randn(2, 3, 16, 16))
    network = partly(it, 2, [3])
    both = split(network, 2, backbone)
    assert (both is None) is (how in ("skip", "image", "size"))
    if both is not None:
        front, back = both
        torch.manual_seed(0)
        whole = network.train()(it.images)
        torch.manual_seed(0)
        assert torch.equal(back(*front(it.images)), whole)


@pytest.mark.parametrize("how", ["", "random"])
def test_what_is_random_before_the_border_is_not_split_off(how: str) -> None:
    module = Twice(how).eval()
    backbone = described(module, ["one", "two", "three", "four"])
    network = partly(Case(backbone, module, torch.zeros(0)), 3, [3])
    assert (split(network, 3, backbone) is None) is (how == "random")


# --- what is held --------------------------------------------------------------------------------


class Counted:
    """A front that counts the images that go through it, and how many went at once."""

    def __init__(self, front: FrozenPart) -> None:
        self.front = front
        self.seen: list[int] = []

    def __call__(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        self.seen.append(len(x))
        value, taps = self.front(x)
        return value, taps


@pytest.fixture(scope="module")
def front() -> FrozenPart:
    it = small()
    both = split(partly(it, 2, [0, 1, 2]), 2, it.backbone)
    assert both is not None
    return both[0]


def look(channels_last: bool = False) -> Callable[[NDArray[np.intp], NDArray[np.bool_]], Tensor]:
    memory = torch.channels_last if channels_last else torch.contiguous_format

    def pixels(rows: NDArray[np.intp], flipped: NDArray[np.bool_]) -> Tensor:
        x = torch.from_numpy(smallnet.photos()[rows]).permute(0, 3, 1, 2).float() / 255
        x = torch.where(torch.from_numpy(flipped)[:, None, None, None], x.flip(-1), x)
        return x.contiguous(memory_format=memory)

    return pixels


ROWS = np.array([3, 39, 17, 3, 20, 0])
FLIPPED = np.array([True, False, True, False, True, False])
EACH = 4 * (16 * 8 * 8 + 8 + 16)  # bytes of one image: the value and two taps


def same(given: tuple[Tensor, list[Tensor]], wanted: tuple[Tensor, list[Tensor]]) -> bool:
    pairs = zip([given[0], *given[1]], [wanted[0], *wanted[1]], strict=True)
    return all(torch.allclose(one, two, atol=1e-6) for one, two in pairs)


@pytest.mark.parametrize("channels_last", [False, True])
def test_what_is_held_is_what_the_front_gives(front: FrozenPart, channels_last: bool) -> None:
    counted = Counted(front)
    pixels = look(channels_last)
    border = ActivationCache(counted, pixels, 40, mirror=True)
    wanted = front(pixels(ROWS, FLIPPED))
    assert same(border.batch(ROWS, FLIPPED), wanted)
    assert border.most == 40
    assert counted.seen == [1, *[CHUNK] * 3, 8]  # one for the size, then chunk by chunk
    given = border.batch(ROWS, FLIPPED)
    assert same(given, wanted)
    assert given[0].stride() == wanted[0].stride()
    assert len(counted.seen) == 5
    given[0].zero_()  # what it hands out is no view of what it holds
    assert same(border.batch(ROWS, FLIPPED), wanted)


def test_the_bits_do_not_depend_on_who_asked_first(front: FrozenPart) -> None:
    one, two = (ActivationCache(front, look(), 40, mirror=False) for _ in range(2))
    for start in (0, 5, 24):
        one.batch(np.arange(start, start + 16))
    two.batch(np.array([39]))
    everyone = np.arange(40)
    (value, taps), (other, others) = one.batch(everyone), two.batch(everyone)
    assert torch.equal(value, other)
    assert all(torch.equal(a, b) for a, b in zip(taps, others, strict=True))


def test_what_is_beyond_the_limit_is_computed_anew(front: FrozenPart) -> None:
    for mirror, most in ((False, 19), (True, 9)):
        counted = Counted(front)
        border = ActivationCache(counted, look(), 40, mirror=mirror, held=20 * EACH - 1)
        flipped = FLIPPED & mirror
        for again in (False, True):
            counted.seen.clear()
            assert same(border.batch(ROWS, flipped), front(look()(ROWS, flipped)))
            beyond = int(np.count_nonzero(most <= ROWS))
            assert counted.seen[-1] == beyond
            assert (len(counted.seen) == 1) is again
        assert border.most == most
    nothing = ActivationCache(counted, look(), 40, mirror=True, held=0)
    assert same(nothing.batch(ROWS, FLIPPED), front(look()(ROWS, FLIPPED)))
    assert nothing.most == 0


def test_half_the_memory_holds_twice_the_images(front: FrozenPart) -> None:
    border = ActivationCache(front, look(), 40, mirror=False, held=10 * EACH, dtype=torch.bfloat16)
    value, taps = border.batch(ROWS)
    assert border.most == 20
    assert {one.dtype for one in (value, *taps)} == {torch.float32}
    wanted, _ = front(look()(ROWS, FLIPPED & False))
    assert torch.allclose(value, wanted, rtol=2**-8, atol=0)
    assert torch.equal(value, value.bfloat16().float())  # the images beyond are rounded alike


def test_a_front_that_gives_half_precision_is_held_as_it_is(front: FrozenPart) -> None:
    border = ActivationCache(front, look(), 40, mirror=False)
    with torch.autocast("cpu", torch.bfloat16):
        value, _ = border.batch(ROWS)
        wanted, _ = front(look()(ROWS, FLIPPED & False))
    assert value.dtype == wanted.dtype


def test_what_was_first_judged_may_then_be_trained_on() -> None:
    it = small()
    network = partly(it, 2, [2])
    both = split(network, 2, it.backbone)
    assert both is not None
    front, back = both
    border = ActivationCache(front, look(), 40, mirror=False)
    with torch.inference_mode():
        back(*border.batch(ROWS))
    back.train()(*border.batch(ROWS)).sum().backward()
    assert network.head.weight.grad is not None


def test_mirror_images_need_room(front: FrozenPart) -> None:
    with pytest.raises(AssertionError, match="no room for mirror images"):
        ActivationCache(front, look(), 40, mirror=False).batch(ROWS, FLIPPED)
