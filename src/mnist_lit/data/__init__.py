"""Where images come from: files and their hashes, the download, the sample, batches."""
