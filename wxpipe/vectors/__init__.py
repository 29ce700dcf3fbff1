"""Vectors and what is asked of them: LanceDB tables, releases, search, SQL, and the picture of an answer.

The tables are derived: the truth is the Parquet of the days, and `release` can make everything here again.
"""
