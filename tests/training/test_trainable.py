"""How many parameters a run trains is what its recipe says, or nothing is trained."""

import pytest
import torch
import yaml
from peft import get_peft_model
from transformers import Qwen2Config, Qwen2ForCausalLM

from training import fixtures
from winnow.core.errors import WinnowError
from winnow.core.study import load_site, load_study
from winnow.training.recipes import adapter_config, read_recipe
from winnow.training.trainable import check_trainable, trainable_parameters
from workflow import ROOT

# Of Qwen/Qwen2.5-0.5B-Instruct, as its config.json on the hub says.
HALF_BILLION = {
    "vocab_size": 151936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}


@pytest.fixture(scope="module")
def sarcasm():
    site = load_site(yaml.safe_load((ROOT / "config.yaml").read_text()))
    return load_study(ROOT / "studies/sarcasm.yaml", site, ROOT)


@pytest.fixture(scope="module")
def half_billion():
    with torch.device("meta"):  # sizes without numbers
        return Qwen2ForCausalLM(Qwen2Config(**HALF_BILLION))


def test_the_adapters_of_the_sarcasm_study_have_as_many_parameters_as_it_says(sarcasm, half_billion):
    """PEFT counts one of them on a model of that size; the others are alike."""
    adapters = {name: run for name, run in sarcasm.runs.items() if run.is_adapter}
    assert {run.recipe["trainable_parameters"] for run in adapters.values()} == {2_162_688}
    shapes = {(run.recipe["lora_r"], tuple(run.recipe["lora_target_modules"])) for run in adapters.values()}
    assert shapes == {(16, ("q_proj", "k_proj", "v_proj", "o_proj"))}
    run = sarcasm.runs["sft_clean"]
    assert (run.recipe["lora_alpha"], run.recipe["lora_dropout"]) == (32, 0.05)
    model = get_peft_model(half_billion, adapter_config(read_recipe(run)))
    assert trainable_parameters(model) == 2_162_688
    check_trainable(run, model)
    more = run.model_copy(update={"recipe": run.recipe | {"trainable_parameters": 2_162_689}})
    with pytest.raises(WinnowError, match="is 2,162,689, and 2,162,688 parameters would be trained"):
        check_trainable(more, model)


def test_a_trainer_refuses_another_number_before_the_first_step(study, tmp_path):
    with pytest.raises(WinnowError, match="trainable_parameters: is 7, and"):
        study.train(fixtures.make_run("sft", trainable_parameters=7), tmp_path)
