"""Makes the models that filterd serves: from corpora now, from staff's corrections every night.

Imports filterd, never the other way round; serving needs nothing of what stands here.
"""
