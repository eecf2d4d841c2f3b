"""Supervised fine-tuning: the loss of the response given its prompt."""

from typing import Any

from winnow.core.config.runs import OwnSftKeys
from winnow.training.data import with_images
from winnow.training.labels import label_probe
from winnow.training.setting import Setting
from winnow.training.trainers import WatchedSFTTrainer
from winnow.training.watch import Watch


def sft_trainer(setting: Setting, callbacks: list[Any], watch: Watch) -> Any:
    """Return TRL's trainer of a setting, with its rows checked.

    Rows have a prompt and a completion, so that TRL masks the prompt unless the recipe says
    completion_only_loss: false.
    """
    trainer = WatchedSFTTrainer(
        model=setting.policy,
        args=setting.config,
        train_dataset=with_images(setting.train),
        eval_dataset=with_images(setting.val),
        processing_class=setting.processor or setting.tokenizer,
        peft_config=setting.adapter(),
        callbacks=callbacks,
    )
    # TRL divides by the tokens of the whole step, if Trainer counts them, which it asks the model about. Qwen2.5-VL's
    # own loss cannot use the count, and the mean over a step would depend on how the step is divided into batches.
    trainer.model_accepts_loss_kwargs = True
    own = setting.recipe.own
    assert isinstance(own, OwnSftKeys)
    trainer.normalize(own.loss_normalization, own.normalize_constant)
    setting.check(trainer)
    watch.attach(trainer.model, None)
    trainer.watch = watch
    trainer.labels = label_probe(setting, trainer.model, watch.world)
    return trainer
