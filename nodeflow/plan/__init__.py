"""What a run will take, told before it runs: the graph walked under fake tensors and headers, no weight read."""
