"""The hook protocols: which objects the server accepts behind a predict function."""

import pytest
from runtime.hook import DescribedHook, ModelHook
from support.apps.app import WrongSchemas

from utils.serving import ServedModel

MEMBERS = ("ready", "quick_bytes", "info", "refresh")


class MinimalHook:
    """A hook that has only the members of ModelHook."""

    ready = True
    quick_bytes = 0
    info = {"model": "a", "digest": "b"}

    def refresh(self) -> None:
        """Load nothing."""


def hook_without(member: str) -> object:
    """Return a hook that has all members of MinimalHook but one."""
    members = {name: vars(MinimalHook)[name] for name in MEMBERS if name != member}
    return type("Incomplete", (), members)()


def test_served_model_is_a_hook_before_its_model_is_loaded() -> None:
    served = ServedModel("no_such_model")
    assert not served.ready
    assert isinstance(served, ModelHook)
    assert isinstance(served, DescribedHook)


def test_object_with_the_members_is_a_hook_without_inheriting() -> None:
    assert isinstance(MinimalHook(), ModelHook)
    assert isinstance(WrongSchemas(), DescribedHook)
    assert MinimalHook.__bases__ == (object,)


@pytest.mark.parametrize("member", MEMBERS)
def test_object_that_lacks_a_member_is_not_a_hook(member: str) -> None:
    assert not isinstance(hook_without(member), ModelHook)


def test_object_that_lacks_no_member_is_a_hook() -> None:
    assert isinstance(hook_without(""), ModelHook)


def test_hook_without_schemas_is_not_a_described_hook() -> None:
    assert not isinstance(MinimalHook(), DescribedHook)
