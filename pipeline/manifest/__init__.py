"""Manifests: a file of prompts becomes the requests table, streamed, with every problem named by line and remedy.

`formats.read_rows` turns bytes into typed rows, `resolve.Resolver` gives each row all that it leaves open,
`spool.spool` writes the requests, `names.delivery_names` names the images when they are handed over.
"""
