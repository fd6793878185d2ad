"""Real servers as private processes: Postfix, Dovecot, filterd, and a next hop that does as told.

Each lives in a temporary folder, listens on loopback only, touches nothing of the system's own
services, and is ended by the process id it was started with.
"""
