"""Renders that come again by the clock: any cron that calls `spotrender nightly run` every few minutes will do.

`nightly_file` is what a user writes, `schedule` says when, `state` is what is known of earlier runs (one object in the
store for each entry), `deciding` says what is to be done now and is pure, `running` does it, `one_run` is one run.
"""
