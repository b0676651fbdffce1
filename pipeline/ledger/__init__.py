"""The books: who owned each GPU when, what that cost, and the Parquet files that say so."""
