"""Recording formats: each understands the metadata of its files and gives lazy, picklable block sources."""
