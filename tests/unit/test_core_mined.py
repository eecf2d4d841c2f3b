"""What a dataset of a model's own mistakes may refer to, and what its author is told."""

import shutil
from pathlib import Path

import pytest
import yaml

import labelled_study
from winnow.core.config.studies import Site
from winnow.core.errors import WinnowError
from winnow.core.study import load_study

ROOT = Path(__file__).parents[2]
DPO = {"stage": "dpo", "recipe": "recipes/dpo_tiny.yaml"}
SFT = {"stage": "sft", "recipe": "recipes/sft_tiny.yaml"}
IMAGES = {"model": "text", "context": 512, "response_tokens": 48}


@pytest.fixture
def checkout(tmp_path):
    """A checkout's studies and recipes, with the labelled study and its mined dataset."""
    for folder in ("studies", "recipes"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    labelled_study.add_study(tmp_path)
    labelled_study.add_mistakes(tmp_path)
    return tmp_path


def load(checkout, **changes):
    file = checkout / "studies/changed.yaml"
    file.write_text(yaml.safe_dump({"extends": "labels", "study": "changed", **changes}))
    return load_study(file, Site(), checkout)


def of_mined(**changes):
    return {"datasets": {"mistakes": changes}}


def test_the_run_of_the_only_modality_is_named(checkout):
    assert load(checkout).datasets["mistakes"].run == "sft_clean"


def test_one_run_may_be_named_where_there_are_several_modalities(checkout):
    study = load(checkout, modalities={"clean_images": IMAGES}, **of_mined(run="sft_clean"))
    assert study.datasets["mistakes"].run == "sft_clean"


def test_a_run_may_learn_from_the_mistakes_of_its_parent(checkout):
    run = DPO | {"dataset": "mistakes", "parent": "sft_{modality}"}
    assert load(checkout, runs={"again_{modality}": run}).runs["again_clean"].dataset == "mistakes"


SECOND = {"stage": "dpo", "policy": "mined", "corpus": "others", "prompts": "asked_others", "run": "first_clean"}
OTHERS = {
    "corpora": {"others": {"adapter": "isarcasm", "path": "{data_root}/others.csv"}},
    "datasets": {"asked_others": {"stage": "sft", "corpus": "others", "policy": "all"}},
}


@pytest.mark.parametrize(
    ("changes", "key", "said"),
    [
        (of_mined(run="sft_claen"), "run", "did you mean 'sft_clean'?"),
        (of_mined(run="base_clean"), "run", "'base_clean' is not defined"),
        (of_mined(prompts="askd"), "prompts", "did you mean 'asked'?"),
        (of_mined(prompts="dpo"), "prompts", "is of policy by_label, and every prompt is asked"),
        (of_mined(prompts="sft"), "prompts", "'sft' is of the corpus posts, this dataset of plain"),
        (of_mined(corpus="tweets"), "corpus", "answers with reasons"),
        (of_mined(corpus="plan"), "corpus", "did you mean 'plain'?"),
        (
            {"modalities": {"clean_images": IMAGES}},
            "run",
            "stands for a run of each modality, and a dataset is made once for all",
        ),
        # It learns from what it is asked for.
        (
            of_mined(run="again_clean") | {"runs": {"again_{modality}": DPO | {"dataset": "mistakes"}}},
            "run",
            "goes round: run again_clean is trained on mistakes",
        ),
        # Its parent does.
        (
            of_mined(run="child_clean")
            | {
                "runs": {
                    "again_{modality}": DPO | {"dataset": "mistakes"},
                    "child_{modality}": DPO | {"dataset": "dpo", "parent": "again_{modality}"},
                }
            },
            "run",
            "goes round: run again_clean is trained on mistakes",
        ),
        # By way of another mined dataset.
        (
            {
                "corpora": OTHERS["corpora"],
                "datasets": OTHERS["datasets"] | {"mistakes": {"run": "second_clean"}, "second": SECOND},
                "runs": {
                    "first_{modality}": DPO | {"dataset": "mistakes"},
                    "second_{modality}": DPO | {"dataset": "second"},
                },
            },
            "run",
            "goes round: run first_clean is trained on mistakes",
        ),
        # The old failure: asked what it was trained on.
        (
            of_mined(run="learnt_clean") | {"runs": {"learnt_{modality}": SFT | {"dataset": "asked"}}},
            "run",
            "learnt_clean was trained on asked of the corpus plain: its mistakes on texts that it learnt by heart",
        ),
        (
            of_mined(run="child_clean")
            | {
                "runs": {
                    "learnt_{modality}": SFT | {"dataset": "asked"},
                    "child_{modality}": DPO | {"dataset": "dpo", "parent": "learnt_{modality}"},
                }
            },
            "run",
            "was trained on",
        ),
        # The same tweets, with reasons.
        (of_mined(run="dpo_clean"), "run", "of the corpus tweets, which has texts of the same files as plain"),
    ],
)
def test_what_would_be_worthless_is_refused_with_its_key(checkout, changes, key, said):
    with pytest.raises(WinnowError) as caught:
        load(checkout, **changes)
    message = str(caught.value)
    assert f"key datasets.mistakes.{key}:" in message
    assert said in message


def test_a_circle_of_two_is_refused_and_a_chain_is_not(checkout):
    chain = {
        "corpora": OTHERS["corpora"],
        "datasets": OTHERS["datasets"] | {"second": SECOND},
        "runs": {"first_{modality}": DPO | {"dataset": "mistakes", "parent": "sft_{modality}"}},
    }
    assert load(checkout, **chain).datasets["second"].run == "first_clean"


def test_without_labels_there_are_no_mistakes(checkout):
    file = checkout / "studies/changed.yaml"
    mined = {"stage": "dpo", "policy": "mined", "corpus": "papers", "prompts": "sft", "run": "sft_clean"}
    file.write_text(yaml.safe_dump({"extends": "demo", "study": "changed", "datasets": {"mistakes": mined}}))
    with pytest.raises(WinnowError, match=r"key datasets\.mistakes\.policy: a mistake is a wrong label"):
        load_study(file, Site(), checkout)
