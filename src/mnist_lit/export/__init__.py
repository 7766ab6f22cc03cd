"""Weights in the formats of others: for each a function that writes and one that reads back."""
