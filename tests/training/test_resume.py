"""The resume rule, from what was given and a checkpoint to a configuration, without Lightning."""

from pathlib import Path
from typing import Any

import pytest

from mnist_lit.checkpoints.checkpoint import Checkpoint
from mnist_lit.errors import Argument, InputError
from mnist_lit.network.architecture import Architecture
from mnist_lit.runs.run import leaves
from mnist_lit.training import resume

RUN = {"trainer": {"max_epochs": 2, "precision": "bf16-true"}}
LAYERS = [{"Conv2d": {"out_channels": 4, "kernel_size": 3}}, "ReLU", "Flatten", "Linear"]


def checkpoint(
    *,
    network: Any = "notebook",
    schedule: str = "constant",
    written_by_fit: bool = True,
    **more: Any,
) -> Checkpoint:
    architecture = Architecture.of(network)
    model = {"network": network, "lr": 0.001, "schedule": schedule, "dropout": None}
    content: dict[str, Any] = {
        "epoch": 1,
        "global_step": 20,
        "state_dict": {},
        "hyper_parameters": model | {"network": architecture.plain(), "dataset": "mnist"},
        "optimizer_states": [{}],
    }
    if written_by_fit:
        content["config"] = {
            "seed_everything": 0,
            "name": "mnist",
            "data": {"dataset": "mnist", "source": "auto", "batch_size": 32},
            "model": model,
            "trainer": {"max_epochs": 2, "precision": "bf16-true"},
        }
    return Checkpoint(
        Path("last.ckpt"), content | more, architecture, list("0123456789"), "mnist", "mnist", 28, 1
    )


def test_only_the_trainer_may_differ() -> None:
    plan = resume.plan_resume({"trainer": {"max_epochs": 3}}, checkpoint(), run=RUN)
    assert plan["model"]["lr"] == 0.001 and plan["data"]["batch_size"] == 32
    for given in ({"model": {"lr": 0.1}}, {"data": {"batch_size": 64}}, {"seed_everything": 1}):
        with pytest.raises(InputError) as caught:
            resume.plan_resume(given, checkpoint(), run=RUN)
        ((name, value),) = leaves(given)
        assert caught.value.subject == Argument(name, value)
        before = dict(leaves(checkpoint().config))[name]
        assert str(before) in str(caught.value.problem) and "last.ckpt" in str(caught.value.problem)


def test_what_was_asked_of_the_trainer_lasts() -> None:
    asked = {"trainer": {"max_epochs": 60}}
    assert resume.plan_resume({}, checkpoint(), run=asked)["trainer"] == asked["trainer"]
    assert resume.plan_resume({}, checkpoint(), run=None)["trainer"]["max_epochs"] == 2
    assert resume.plan_resume({}, checkpoint(), run={})["trainer"]["max_epochs"] == 2


def test_the_same_value_may_be_given() -> None:
    given = {"model": {"lr": 0.001, "network": "notebook", "dropout": 0.2}, "name": "mnist"}
    resume.plan_resume(given, checkpoint(), run=RUN)


def test_a_name_is_free_in_a_folder_of_its_own() -> None:
    resume.plan_resume({"name": "other"}, checkpoint(), run=None)
    with pytest.raises(InputError) as caught:
        resume.plan_resume({"name": "other"}, checkpoint(), run=RUN)
    assert caught.value.subject == Argument("name", "other")


def test_the_length_is_fixed_under_a_schedule() -> None:
    given = {"trainer": {"max_epochs": 3}}
    with pytest.raises(InputError) as caught:
        resume.plan_resume(given, checkpoint(schedule="one_cycle"), run=RUN)
    assert caught.value.subject == Argument("trainer.max_epochs", 3)


def test_another_network_is_refused_by_its_first_layer() -> None:
    other = [{"Conv2d": {"out_channels": 4, "kernel_size": 3}}, "Tanh", "Flatten", "Linear"]
    with pytest.raises(InputError) as caught:
        resume.plan_resume({"model": {"network": other}}, checkpoint(network=LAYERS), run=RUN)
    assert caught.value.subject == Argument("network")
    problem = str(caught.value.problem)
    assert "layer 2" in problem and "Tanh" in problem and "ReLU" in problem
    same = {"model": {"network": {"init": "keras", "layers": LAYERS}}}
    resume.plan_resume(same, checkpoint(network=LAYERS), run=RUN)


def test_another_dropout_is_refused_with_both_rates() -> None:
    with pytest.raises(InputError) as caught:
        resume.plan_resume({"model": {"dropout": 0.5}}, checkpoint(), run=RUN)
    assert caught.value.subject == Argument("dropout", 0.5) and "0.2" in str(caught.value.problem)


def test_weights_without_training_start_a_new_run() -> None:
    bare = checkpoint()
    del bare.content["optimizer_states"]
    with pytest.raises(InputError) as caught:
        resume.plan_resume({}, bare, run=RUN)
    assert caught.value.remedy == ("start a new run by", Argument("weights", "last.ckpt"))


def test_the_middle_of_an_epoch_is_not_resumed() -> None:
    loops = {"fit_loop": {"epoch_loop.batch_progress": {"is_last_batch": False}}}
    with pytest.raises(InputError) as caught:
        resume.plan_resume({}, checkpoint(loops=loops), run=RUN)
    assert "epoch 2" in str(caught.value.problem)


def test_an_imported_checkpoint_leaves_the_data_open() -> None:
    given = {"data": {"batch_size": 8}, "seed_everything": 3, "name": "imported"}
    resume.plan_resume(given, checkpoint(written_by_fit=False), run=None)
    with pytest.raises(InputError):
        resume.plan_resume({"model": {"lr": 1}}, checkpoint(written_by_fit=False), run=None)


def test_an_evaluation_keeps_precision_and_chooses_its_data() -> None:
    plan = resume.plan_evaluation({"data": {"batch_size": 8}}, checkpoint())
    assert plan["trainer"] == {"precision": "bf16-true"}
    assert plan["data"]["source"] == "full"  # never the sample in the place of MNIST
    for given in ({"data": {"val_split": 0.5}}, {"model": {"lr": 0.5}}, {"seed_everything": 4}):
        with pytest.raises(InputError):
            resume.plan_evaluation(given, checkpoint())


@pytest.mark.parametrize(
    ("trainer", "finished"),
    [
        ({"max_epochs": 2}, True),
        ({"max_epochs": 3}, False),
        ({"max_epochs": 3, "max_steps": 20}, True),
        ({"max_epochs": 3, "max_steps": 21}, False),
        ({"max_epochs": -1, "max_steps": -1}, False),
        ({"max_epochs": None, "max_steps": 10}, True),
    ],
)
def test_finished(trainer: dict[str, Any], finished: bool) -> None:
    assert resume.is_finished(checkpoint(), trainer) is finished
