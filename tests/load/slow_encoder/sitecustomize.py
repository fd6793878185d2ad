"""Run by Python at its start where this folder is in PYTHONPATH: each text takes longer to encode.

It waits and does not compute, so that how much mail is too much does not depend on the machine.
"""

import os
import time

from filterd.model.encoder import Encoder

SECONDS = float(os.environ["SLOW_ENCODER_SECONDS"])


def _slowed(encode):
    def encode_slowly(self, texts):
        time.sleep(SECONDS * len(texts))
        return encode(self, texts)

    return encode_slowly


Encoder.encode = _slowed(Encoder.encode)
