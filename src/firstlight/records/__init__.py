"""Records: what the folder of a run, a study or a search holds. The only place that names a file or a key of one."""
