"""Direct preference optimisation against an explicit reference."""

from typing import Any

from winnow.training.checkpoints import identity_of
from winnow.training.data import with_images
from winnow.training.kl import KlProbe, kl_rows, shown_kl_rows
from winnow.training.labels import label_probe
from winnow.training.loading import check_reference
from winnow.training.reference import ReferenceCache, reference_key
from winnow.training.setting import Setting
from winnow.training.trainers import WatchedDPOTrainer
from winnow.training.watch import Watch


def dpo_trainer(setting: Setting, callbacks: list[Any], watch: Watch) -> Any:
    """Return TRL's trainer of a setting, with its rows and its reference checked.

    Full fine-tuning: the reference is a second copy, loaded here. Left to itself TRL loads it from
    `config._name_or_path`, which after training in the same process is another model.
    LoRA: the reference is the policy with its adapter switched off. Its weights are frozen, and a
    second copy would hold the same numbers again.
    """
    adapter = setting.adapter()
    request = setting.request
    cache = None
    if setting.config.precompute_ref_log_probs:
        key = reference_key(identity_of(request), setting.config.world_size)
        cache = ReferenceCache(request.reference_cache, key)
    trainer = WatchedDPOTrainer(
        model=setting.policy,
        ref_model=setting.load_again().eval().requires_grad_(requires_grad=False) if adapter is None else None,
        args=setting.config,
        train_dataset=with_images(setting.train),
        eval_dataset=with_images(setting.val),
        processing_class=setting.processor or setting.tokenizer,
        peft_config=adapter,
        callbacks=callbacks,
        reference_cache=cache,
    )
    setting.check(trainer)
    check_reference(trainer.model, trainer.ref_model, setting.weights, watch.world)
    watch.attach(trainer.model, trainer.ref_model)
    trainer.watch = watch
    trainer.labels = label_probe(setting, trainer.model, watch.world)
    if setting.processor is None:
        rows = kl_rows(trainer.eval_dataset)
    else:
        rows = shown_kl_rows(setting.val, trainer.eval_dataset, trainer.data_collator)
    processing, seed = setting.processor or setting.tokenizer, request.run.seed
    trainer.probe = KlProbe(trainer.model, trainer.ref_model, rows, processing, seed)
    return trainer
