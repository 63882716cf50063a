"""Text to ids and back, and the table that keeps them."""

from components.tokenizer.bpe import Tokenizer as Tokenizer
