"""The hook protocols, which utils/serving.py implements without importing them."""

from runtime.hook import DescribedHook, ModelHook
from support.hooks import SampleHook

from utils.serving import ServedModel


class HookWithoutRefresh:
    """A hook that lacks one method."""

    ready = True
    quick_bytes = 0
    info = {"model": "a_model", "digest": "1234"}
    schema: dict[str, object] = {}


def test_served_model_is_a_described_hook() -> None:
    served = ServedModel("x")

    assert isinstance(served, ModelHook)
    assert isinstance(served, DescribedHook)


def test_hook_without_schema_is_a_model_hook_only() -> None:
    hook = SampleHook()

    assert isinstance(hook, ModelHook)
    assert not isinstance(hook, DescribedHook)


def test_object_without_refresh_is_no_hook() -> None:
    incomplete = HookWithoutRefresh()

    assert not isinstance(incomplete, ModelHook)
    assert not isinstance(incomplete, DescribedHook)
