"""Submission to Brain-Score's leaderboard: the zip, and what the server would say of it."""
