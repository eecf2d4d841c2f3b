"""How responses may be paired for DPO. A policy is a function here; adding one is adding a function."""

from collections.abc import Callable
from typing import Any

from winnow.datasets.pair import ContrastiveSpec, Material, Pairing, contrastive
from winnow.datasets.pair_by_label import ByLabelSpec, by_label

PairSpec = ContrastiveSpec | ByLabelSpec

POLICIES: dict[str, Callable[[Material, Any], Pairing]] = {"contrastive": contrastive, "by_label": by_label}
