"""The network: one BERT encoder read at [CLS], and a linear head per task of its configuration.

Tasks are data: `config.tasks` maps a task's name to its labels, so a new task is a new entry.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import AutoConfig, BertConfig, BertModel, BertPreTrainedModel
from transformers.models.bert.modeling_bert import BertSelfAttention

from trainer.errors import BaseModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from trainer.finetune import Recipe
    from trainer.pretrained import BaseModel

EMBEDDING = "embedding"


class MultiTaskBert(BertPreTrainedModel):  # type: ignore[misc] # transformers has no types
    """BERT with a head per task, all from the last layer's [CLS] vector.

    The last layer is computed for [CLS] alone, which nothing else reads: the same figures for a
    seventh less work at six layers (tests/unit/test_trainer_network.py holds it to BertModel).
    """

    config_class = BertConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.dropout = torch.nn.Dropout(config.hidden_dropout_prob)
        self.heads = torch.nn.ModuleDict(
            {
                name: torch.nn.Linear(config.hidden_size, len(labels))
                for name, labels in config.tasks.items()
            }
        )
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """Logits [batch, labels] by task, and "embedding" [batch, hidden].

        Both inputs are int64 [batch, tokens]; the mask is 1 for a token, 0 for padding.
        """
        hidden = self.bert.embeddings(input_ids=input_ids)
        mask = (1 - attention_mask[:, None, None, :].to(hidden.dtype)) * -1e4
        *layers, last = self.bert.encoder.layer
        for layer in layers:
            hidden = layer(hidden, mask)[0]
        cls = hidden[:, :1]
        context = last.attention.self(cls, attention_mask=mask, encoder_hidden_states=hidden)[0]
        attended = last.attention.output(context, cls)
        pooled = last.output(last.intermediate(attended), attended)[:, 0]
        dropped = self.dropout(pooled)
        outputs = {name: self.heads[name](dropped) for name in self.config.tasks}
        return {**outputs, EMBEDDING: pooled}


def start_from(base: BaseModel, tasks: Mapping[str, tuple[str, ...]]) -> MultiTaskBert:
    """The base's encoder under fresh heads. Raises BaseModelError if it is no BERT."""
    try:
        config = AutoConfig.from_pretrained(base.source)  # nosec B615  # a name that a person gave
        if config.model_type != "bert":
            raise BaseModelError(f"{base.source}: a {config.model_type} model, but BERT is needed")
        config.tasks = {name: list(labels) for name, labels in tasks.items()}
        # Without it the attention kernel of PyTorch's CPU build takes its slow path.
        config.attention_probs_dropout_prob = 0.0
        # No pickle: it could run what whoever made it likes.
        encoder = BertModel.from_pretrained(  # nosec B615  # as above
            base.source, config=config, add_pooling_layer=False, use_safetensors=True
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BaseModelError(f"{base.source}: cannot be loaded: {reason}") from None
    network = MultiTaskBert(config)
    network.bert.load_state_dict(encoder.state_dict())
    return network


def add_task(network: MultiTaskBert, name: str, labels: Sequence[str]) -> None:
    """Give the network a head for another task; the other heads stay as they are."""
    network.heads[name] = torch.nn.Linear(network.config.hidden_size, len(labels))
    network.config.tasks = {**network.config.tasks, name: list(labels)}


def shape(network: MultiTaskBert, recipe: Recipe) -> None:
    """Make a network what the recipe asks for: its layers, its dropout, and which of it learns.

    Raises BaseModelError if it has fewer layers than asked for.
    """
    if recipe.layers is not None:
        keep_layers(network, recipe.layers)
    if recipe.dropout is not None:
        set_dropout(network, recipe.dropout)
    if recipe.frozen_layers:
        freeze(network, recipe.frozen_layers)
    if recipe.gradient_checkpoint:
        network.gradient_checkpointing_enable({"use_reentrant": False})


def keep_layers(network: MultiTaskBert, count: int) -> None:
    """Drop all but `count` of the layers: the upper one of each stretch, thus always the last.

    Three of six are 1, 3 and 5, counted from 0: one layer out of two, as DistilBERT starts (Sanh
    et al. 2019, section 3), and the one on top, whose [CLS] is what the heads read. Raises
    BaseModelError if there are fewer.
    """
    layers = network.bert.encoder.layer
    if not 0 < count <= len(layers):
        raise BaseModelError(f"cannot keep {count} of the base's {len(layers)} layers")
    kept = [layers[len(layers) * number // count - 1] for number in range(1, count + 1)]
    network.bert.encoder.layer = torch.nn.ModuleList(kept)
    network.config.num_hidden_layers = count


def set_dropout(network: MultiTaskBert, probability: float) -> None:
    """Drop hidden values with this probability; at 0 nothing is called where dropout was.

    Drawing the masks takes a tenth of a training step on a CPU.
    """
    network.config.hidden_dropout_prob = probability
    for module in network.modules():
        if hasattr(module, "dropout") and not isinstance(module, BertSelfAttention):
            module.dropout = torch.nn.Dropout(probability) if probability else torch.nn.Identity()


def freeze(network: MultiTaskBert, count: int) -> None:
    """Keep the embeddings and the `count` lowest layers as they are: they get no gradients."""
    layers = network.bert.encoder.layer
    if count > len(layers):
        raise BaseModelError(f"cannot freeze {count} layers of {len(layers)}")
    for part in (network.bert.embeddings, *layers[:count]):
        part.requires_grad_(requires_grad=False)


def load_network(folder: Path, *, attention: str = "sdpa") -> MultiTaskBert:
    """The network saved at a checkpoint folder by `save_pretrained`."""
    network: MultiTaskBert = MultiTaskBert.from_pretrained(
        str(folder), attn_implementation=attention
    )
    return network


def save_half(network: MultiTaskBert, file: Path) -> None:
    """All weights as fp16 safetensors, with the configuration (JSON) in the file's metadata.

    What the next fine-tune starts from; half the size of fp32, and a rounding far below a step.
    """
    tensors = {
        name: tensor.detach().half().contiguous() for name, tensor in network.state_dict().items()
    }
    known = network.config.to_dict()
    known.pop("_name_or_path", None)  # where it lay on this machine
    config = json.dumps(known, sort_keys=True)
    save_file(tensors, str(file), metadata={"format": "pt", "config": config})


def load_half(file: Path) -> MultiTaskBert:
    """The network that `save_half` wrote, in fp32. Raises BaseModelError if it is none."""
    try:
        with safe_open(str(file), framework="pt") as weights:
            config = BertConfig.from_dict(json.loads((weights.metadata() or {})["config"]))
            tensors = {name: weights.get_tensor(name).float() for name in weights.keys()}  # noqa: SIM118 - no mapping
        network = MultiTaskBert(config)
        network.load_state_dict(tensors)
    except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BaseModelError(f"{file}: no weights to go on from: {reason}") from None
    return network
