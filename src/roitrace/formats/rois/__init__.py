"""ROI formats: each turns a file into a plain table of pixels, or pixels into a file."""
