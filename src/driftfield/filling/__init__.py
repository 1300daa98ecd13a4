"""From a file with gaps, or from scattered values, to a field with its spread: methods are chosen on what was observed."""
