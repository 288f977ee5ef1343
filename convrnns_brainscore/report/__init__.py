"""Figures and, later, pages."""
