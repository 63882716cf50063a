"""Two builds side by side: what they are made of, what changed between them, and what became of each number."""
