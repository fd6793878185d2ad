"""A BERT of two narrow layers with random weights, and corpora of a few words written by us."""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel

SPAM = [
    "winner",
    "prize",
    "claim",
    "cheap",
    "pills",
    "offer",
    "casino",
    "lottery",
    "million",
    "dollars",
    "click",
    "urgent",
]
HAM = [
    "meeting",
    "minutes",
    "agenda",
    "invoice",
    "garden",
    "library",
    "train",
    "lunch",
    "report",
    "draft",
    "thanks",
    "notes",
]
GOOD = ["wonderful", "lovely", "delighted", "excellent", "great", "happy", "brilliant", "superb"]
BAD = ["terrible", "awful", "angry", "broken", "useless", "disappointed", "dreadful", "refund"]
PLAIN = ["monday", "parcel", "number", "window", "table", "question", "folder", "printer"]
FILLER = [
    "the",
    "a",
    "your",
    "our",
    "this",
    "that",
    "for",
    "with",
    "from",
    "and",
    "today",
    "please",
]
WORDS = (*SPAM, *HAM, *GOOD, *BAD, *PLAIN, *FILLER)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def make_checkpoint(folder: Path, *, seed: int = 0) -> Path:
    """Write config.json, tokenizer.json and model.safetensors of the tiny BERT."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,:!?-/@$'"
    tokens = dict.fromkeys([*SPECIAL, *letters, *(f"##{each}" for each in letters), *WORDS])
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def sentence(words: list[str], chance: random.Random) -> str:
    return " ".join(
        chance.choice(words) if chance.random() < 0.6 else chance.choice(FILLER) for _ in range(12)
    )


def write_corpora(folder: Path, *, count: int = 150) -> Path:
    """One corpus of mails, one of texts and one of sentiment sentences, each easy to tell apart."""
    chance = random.Random(1)
    for label, words in (("spam", SPAM), ("ham", HAM)):
        mails = folder / "letters" / label
        mails.mkdir(parents=True)
        for number in range(count):
            head = f"From: Someone <someone@example.org>\nSubject: {sentence(words, chance)}\n"
            body = sentence(words, chance)
            (mails / f"{number:05}.eml").write_text(f"{head}\n{body}\n", encoding="utf-8")
    notes = [
        {"text": sentence(words, chance), "label": label}
        for _ in range(count)
        for label, words in (("spam", SPAM), ("ham", HAM))
    ]
    opinions = [
        {"text": sentence(words, chance), "label": label, "split": split}
        for number in range(count)
        for label, words in (("very positive", GOOD), ("negative", BAD), ("neutral", PLAIN))
        for split in ["test" if number % 5 == 0 else "val"]
    ]
    for name, rows in (("notes", notes), ("opinions", opinions)):
        lines = [json.dumps(row) + "\n" for row in rows]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder
