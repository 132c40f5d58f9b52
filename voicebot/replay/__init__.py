"""Recorded conversations, held again on a clock that skips waiting. Read `run.py` first."""
