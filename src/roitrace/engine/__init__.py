"""The only place that imports dask: blocks, statistics, reductions, plan and run, in arrays and integers."""
