"""The model at serving time: bundles on disk, the encoder, its batcher and who is champion.

ONNX Runtime, tokenizers and numpy only: neither torch nor transformers may be imported here.
"""
