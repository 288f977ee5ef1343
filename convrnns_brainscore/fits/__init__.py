"""Fits of layers to recordings: splits, reliability, PLS, ridge, and choosing layers."""
