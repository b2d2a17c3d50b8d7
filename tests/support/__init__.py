"""FIXME tests/support"""
