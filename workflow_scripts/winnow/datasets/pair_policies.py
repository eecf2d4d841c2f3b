"""How responses may be paired for DPO. A policy is a function here; adding one is adding a function."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from winnow.core.config.base import Settings
from winnow.datasets.pair import ContrastiveSpec, Material, Pairing, contrastive
from winnow.datasets.pair_by_label import ByLabelSpec, MinedSpec, by_label

PairSpec = ContrastiveSpec | ByLabelSpec | MinedSpec


class PairingJob(Settings):
    """What pair_responses.py is told."""

    dataset: Annotated[PairSpec, Field(discriminator="policy")]


POLICIES: dict[str, Callable[[Material, Any], Pairing]] = {
    "contrastive": contrastive,
    "by_label": by_label,
    "mined": by_label,
}
