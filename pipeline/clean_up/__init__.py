"""What of a store may go, and how it goes: nothing that a live or starting job needs, and nothing twice looked at once.

`standing` says of each job whether it needs its images, `needs` which these are, `finding` what is left over then,
`sweeping` deletes images, `tidying` packs the records of ended jobs.
"""
