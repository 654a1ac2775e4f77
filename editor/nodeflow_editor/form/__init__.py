"""The form: all inputs of the chosen nodes, one beneath the other."""
