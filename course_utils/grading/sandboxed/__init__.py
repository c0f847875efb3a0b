"""The worker's side: what runs next to a student's code, and holds nothing worth stealing."""
