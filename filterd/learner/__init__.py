"""What staff taught since the last night, on top of the BERT: design section 8.

Pure: bytes, texts and labels in, numbers out. Nothing here knows a file, a database or a clock.
"""
