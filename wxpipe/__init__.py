"""wxpipe: which past weather looked like this, and what came next?"""

__version__ = "0.1.0"
