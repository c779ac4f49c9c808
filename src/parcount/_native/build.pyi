compiler: str
cython: str
