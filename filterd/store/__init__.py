"""What outlives a process: message records, labels, bundles, training runs. SQLite or PostgreSQL.

Knows nothing of mail, models or SMTP. Everything here blocks; asyncio code calls it from threads
(`Recorder` has its own). Facts are appended with who and when; what counts is derived from them.
"""
