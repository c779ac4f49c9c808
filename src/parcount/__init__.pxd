from parcount._native.c_interface cimport (
    bincount_int32,
    bincount_int64,
    bincount_uint8,
    bincount_weighted_int32,
    bincount_weighted_int64,
    edges_free,
    edges_new,
    histogram_float32,
    histogram_float64,
    histogram_weighted_float64,
    parcount_edges,
)
