"""What a training takes of the checkpoint that it starts from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edge import checkpoint
from edge.checkpoint import Checkpoint, Preprocess, as_program
from edge.data.selection import unseen
from edge.data.table import Photo, PhotoSet
from edge.errors import InputError
from edge.labels import Label
from edge.models.foreign import Foreign
from edge.pretrained import own_file_start
from edge.report.header import maybe_seen
from train._answers import with_patients
from train._cut import Cut
from train._start import Beginning, beginning, check_fits, check_statistics, opened_start, take_tensors, tensors_of


class Net(nn.Module):
    """A picture's mean colour and a linear layer; as `classifier`, or under another name."""

    def __init__(self, classes: int, width: int = 4) -> None:
        super().__init__()
        self.body = nn.Linear(3, width)
        self.last = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.body(images.mean(dim=(2, 3))))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def answers(net: nn.Module, codes: str, picture: Tensor) -> dict[str, float]:
    """Class code -> logit."""
    return dict(zip(codes, net(picture)[0].tolist(), strict=True))


@pytest.mark.parametrize("after", ["abc", "cba", "bca", "cab", "CbA", "ab", "abcd", "dcba", "xayb"])
def test_every_class_keeps_its_own_answer(after, messages):
    """Whatever the order, and whatever comes or goes: a class that both know is answered as before."""
    old, new = Net(3), Net(len(after))
    fresh = new.state_dict()["last.weight"].clone()
    picture = torch.rand(1, 3, 8, 8)
    take_tensors(new, Beginning("net", old.state_dict(), tuple("abc"), tuple(after)), Net)
    before, now = answers(old, "abc", picture), answers(new, after, picture)
    for place, code in enumerate(after):
        if code.lower() in before:
            assert now[code] == pytest.approx(before[code.lower()], abs=1e-6)
        else:
            assert torch.equal(new.last.weight[place], fresh[place])
    assert ("class by class" in messages[-1]) == (after != "abc")


def test_classes_that_nobody_shares_leave_the_last_layer_new(messages):
    old, new = Net(3), Net(3)
    fresh = new.last.weight.clone()
    take_tensors(new, Beginning("net", old.state_dict(), tuple("abc"), tuple("xyz")), Net)
    assert torch.equal(new.last.weight, fresh) and torch.equal(new.body.weight, old.body.weight)
    assert "the last layer is new" in messages[-1]


def test_a_layer_that_does_not_follow_the_classes_is_not_guessed():
    def always_three(_classes: int) -> nn.Module:
        return Net(3)

    with pytest.raises(InputError, match="no layer that follows the number of classes"):
        take_tensors(Net(3), Beginning("net", Net(3).state_dict(), tuple("abc"), tuple("bca")), always_three)
    take_tensors(Net(3), Beginning("net", Net(3).state_dict(), tuple("abc"), tuple("abc")), always_three)


def trained(net: nn.Module, model: str) -> Checkpoint:
    labels = tuple(Label(code, code, malignant=None) for code in "abc")
    return Checkpoint(model, labels, Preprocess("v", 32), net.state_dict())


def test_another_network_is_refused_and_its_near_kin_is_not():
    start = trained(Net(3, width=4), "narrow")
    with pytest.raises(InputError, match=r"`init` is a checkpoint of narrow, of which 0% of the weights fit wide"):
        check_fits(start, lambda classes: Net(classes, width=5), "wide")

    class More(Net):
        def __init__(self, classes: int) -> None:
            super().__init__(classes)
            self.added = nn.Conv2d(1, 1, 3)

    check_fits(start, More, "more")


def test_shipped_weights_do_not_fit_another_family():
    from edge.models import create_model

    start = checkpoint.load(checkpoint.shipped("hierattn_xs"))
    with pytest.raises(InputError, match="leave `init` out"):
        check_fits(start, lambda classes: create_model("mobilenetv2", classes), "mobilenetv2")
    check_fits(start, lambda classes: create_model("hierattn_xs_ppcr", classes), "hierattn_xs_ppcr")


def test_a_network_of_ones_own_is_started_from_as_well():
    net = Foreign(Net(3)).eval()
    start = as_program(trained(net, "own"), net)
    assert {name: value.shape for name, value in tensors_of(start).items()} == {
        name: value.shape for name, value in net.state_dict().items()
    }
    check_fits(start, lambda classes: Foreign(Net(classes)), "own")


# Weights that others published


def own_network(classes: int) -> nn.Module:
    return Foreign(Net(classes))


def published(net: nn.Module, folder: Path) -> Path:
    torch.save(net.state_dict(), folder / "theirs.pth")
    return folder / "theirs.pth"


def test_the_last_layer_of_others_is_never_taken(tmp_path, messages):
    """Nor where it has as many classes as this run: ImageNet's first three are not ours."""
    theirs, net = Net(3), Foreign(Net(3))
    fresh = net.state_dict()["net.last.weight"].clone()
    start = opened_start(published(theirs, tmp_path), "own", own=True)
    check_fits(start, own_network, "own")
    take_tensors(net, beginning(start, trained(Net(3), "any").labels), own_network)
    assert torch.equal(net.net.last.weight, fresh) and torch.equal(net.net.body.weight, theirs.body.weight)
    past, *rest = messages
    assert "theirs.pth is unknown" in past
    assert rest == ["started from theirs.pth: 2 of its tensors for the 4 of this network", "the last layer is new"]


def test_a_last_layer_that_cannot_be_told_apart_is_refused(tmp_path):
    start = opened_start(published(Net(3), tmp_path), "own", own=True)
    with pytest.raises(InputError, match="`init` answers for classes of its own"):
        take_tensors(Foreign(Net(3)), beginning(start, trained(Net(3), "any").labels), lambda _classes: Foreign(Net(3)))


def test_what_is_taken_and_left_of_a_published_file_is_told(tmp_path, messages):
    from edge.models import create_model

    own = create_model("mnasnet", 3)
    theirs = {name.replace("classifier.", "classifier.1."): value for name, value in own.state_dict().items()}
    torch.save(theirs, tmp_path / "mnasnet1.0_top1_73.512-f206786ef8.pth")
    start = opened_start(tmp_path / "mnasnet1.0_top1_73.512-f206786ef8.pth", "mnasnet", own=False)
    net = create_model("mnasnet", 3)
    take_tensors(net, beginning(start, trained(Net(3), "any").labels), lambda classes: create_model("mnasnet", classes))
    _, taken, left = messages
    assert taken.endswith("312 of its tensors for the 314 of this network")
    assert left.startswith("the last layer is new; not taken of mnasnet1.0_top1_73.512-f206786ef8.pth: ")
    assert left.endswith("classifier.weight (3, 1280), classifier.bias (3,)")
    assert torch.equal(net.layers[0].weight, own.layers[0].weight)
    assert not torch.equal(net.classifier.weight, own.classifier.weight)


def test_what_init_can_be_is_said_where_it_is_not(tmp_path):
    with pytest.raises(InputError, match="no package holds ImageNet weights of hierattn_xs"):
        opened_start("imagenet", "hierattn_xs", own=False)
    with pytest.raises(InputError, match=r"no weights at .*nothing\.pth"):
        opened_start(tmp_path / "nothing.pth", "mnasnet", own=False)


LABELS = (Label("a", "a", malignant=None), Label("b", "b", malignant=None))
LISTED = {"set": {"patients": ["p"], "images": ["p.jpg"]}}


def imported(**facts) -> Checkpoint:
    """As `import-upstream` writes it: weights of a network that dermedge knows, and no list of anybody."""
    facts = {"labels": LABELS, "recipe": {"imported_from": "theirs.pth", "answers": {}}, **facts}
    return Checkpoint("mine", preprocess=Preprocess("area-2", 32), state=Net(2).state_dict(), **facts)


def of(*patients: str) -> PhotoSet:
    return PhotoSet("set", LABELS, tuple(Photo(Path(f"{p}.jpg"), f"{p}.jpg", "a", p, "set") for p in patients))


def test_a_network_of_unknown_past_is_named_and_stays_so(messages) -> None:
    start = opened_start(imported(), "mine", own=False)
    assert len(messages) == 1 and "which patients trained mine is unknown" in messages[0]
    child = imported(trained=LISTED, recipe={"init": {"sha256": "0", "recipe": start.recipe}})
    assert not child.lists_no_patients and child.patients_unknown and maybe_seen(child)
    assert "some of these may have" in unseen(of("q"), child).notes[0]
    assert opened_start(imported(trained=LISTED, recipe=child.recipe), "mine", own=False).patients_unknown
    for clear in (imported(trained=LISTED), imported(recipe={"untrained": {"seed": 0}}), imported(labels=())):
        assert opened_start(clear, "mine", own=False) is clear and not unseen(of("q"), clear).notes
    assert len(messages) == 2


@pytest.mark.parametrize(("classes", "unknown"), [(1000, False), (6, True)])
def test_only_imagenet_s_last_layer_says_whom_weights_have_seen(classes: int, unknown: bool, tmp_path: Path) -> None:
    torch.save(Net(classes).state_dict(), tmp_path / "theirs.pth")
    assert own_file_start(tmp_path / "theirs.pth").patients_unknown == unknown


def test_answers_fitted_to_an_imported_network_list_no_patients_that_it_has_seen() -> None:
    """Else all others would count as unseen, though nobody knows that."""
    fitted = with_patients(imported(), Cut(of("t"), of("h"), of("u")))
    assert fitted.lists_no_patients and not (fitted.trained or fitted.held_back or fitted.unseen)
    assert fitted.recipe["answers"]["fitted_on"]["set"]["patients"] == ["t"]
    assert with_patients(imported(trained=LISTED), Cut(of("t"), of("h"), of("u"))).trained["set"]["patients"] == [
        "p", "t",
    ]  # fmt: skip


class Normed(nn.Sequential):
    """Two layers that normalise, and one that tells classes apart."""

    def __init__(self, classes: int, width: int = 4) -> None:
        super().__init__(
            nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, width, 1), nn.BatchNorm2d(width),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes),
        )  # fmt: skip


def test_statistics_that_stay_have_to_be_those_of_the_start():
    """Else frozen batch normalisation would divide by 1 where nothing was measured, and nobody would know."""
    labels = (Label("a", "a", False), Label("b", "b", True))
    start = Checkpoint("net", labels, Preprocess("v", 8), Normed(2).state_dict())
    check_statistics(start, Normed)
    with pytest.raises(InputError, match=r"has none that fit 1 of 2 batch norms: 3; give an `init` of the same"):
        check_statistics(start, lambda classes: Normed(classes, width=5))
    without = {name: value for name, value in start.state.items() if name != "1.running_var"}
    with pytest.raises(InputError, match=r"1 of 2 batch norms: 1;"):
        check_statistics(replace(start, state=without), Normed)
