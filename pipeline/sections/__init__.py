"""The findings of a build laid out as the sections of a page; nothing on it says when or how fast it was made."""
