"""What people look at: figures of images, ROIs and traces."""
