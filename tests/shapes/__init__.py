"""Tests of the demonstration model: what it draws is what was asked."""
