"""Prompt templates: `{a|b}`, `{2$$, $$a|b|c}`, `{0.5::a|b}`, `__wildcard__`, `${x={a|b}} ${x}`.

`parsing` makes syntax of text, `binding` puts wildcards and variables in their places and makes a form of it, which
knows how many prompts it stands for, gives the n-th of them, and draws one by dice. None of them is ever written out.
"""
