"""Files of other programs: recordings in, ROIs in and out. One small file per format, found through `registry`."""
