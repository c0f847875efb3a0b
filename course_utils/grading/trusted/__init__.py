"""The judge's side: it holds references, seeds and results, and runs nothing of a student's."""
