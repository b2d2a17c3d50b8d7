"""Licensed APIs behind the Backend contract.

bria, fal, replicate   each speaks one provider's words, and nothing else
wire.py                what those words are written in: calls, answers, progress
transport.py           the only door to the network
jobs.py                the life of one paid picture: known, sent, ticketed, polled, fetched
backend.py             many of them at once, as a Backend
"""
