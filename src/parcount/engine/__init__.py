"""From a job to its counts: the job is split, a kernel counts each part under an execution, the counts are merged."""
