"""Licensed APIs behind the Backend contract.

providers/    each speaks one provider's words, and nothing else
http/         the only door to the network
jobs/         the life of one paid picture: known, sent, submitted, polled, fetched
backend.py    many of them at once, as a Backend
"""
