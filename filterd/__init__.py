"""The mail path: SMTP in, a verdict from an int8 BERT, SMTP out.

Imports neither bot nor trainer.
"""

__version__ = "0.1.0"
