"""Parts of a language model build that know no tool and not each other."""
