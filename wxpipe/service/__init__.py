"""HTTP over a root: search, pictures, animations, SQL, numbers; read only, and safe in front of clients that are not.

`server` runs it, `gate` lets requests in, `opened` follows promotions, `routes` answer; pages are files of the package.
"""
