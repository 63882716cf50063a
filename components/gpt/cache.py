"""What a model keeps of the tokens it has read, so that a further token costs the work of one token."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


class LayerCache:
    """The keys and values one block has seen: allocated once, at the first token, for `capacity` tokens a row.

    Filled by the prompts at first, then by one token a row at a time.
    """

    def __init__(self, capacity: int, is_token: Bool[Tensor, "row 1 1 capacity"] | None = None) -> None:
        self.capacity = capacity
        self.count = 0
        self._is_token = is_token
        self._keys = self._values = torch.empty(0)

    def append(
        self, keys: Float[Tensor, "batch head token size"], values: Float[Tensor, "batch head token size"]
    ) -> tuple[
        Float[Tensor, "batch head seen size"],
        Float[Tensor, "batch head seen size"],
        Bool[Tensor, "batch 1 1 seen"] | None,
    ]:
        """Return the keys and values so far, these included, and which of them a new token may look at (None: all)."""
        batch, heads, tokens, size = keys.shape
        assert self.count == 0 or tokens == 1, "attention masks nothing between new tokens and cached ones"
        if self.count == 0:
            self._keys = keys.new_empty(batch, heads, self.capacity, size)
            self._values = torch.empty_like(self._keys)
        start, self.count = self.count, self.count + tokens
        self._keys[:, :, start : self.count] = keys
        self._values[:, :, start : self.count] = values
        # Within the prompts attention looks back only, and what pads them stands behind: nothing to mask.
        is_token = None if start == 0 or self._is_token is None else self._is_token[..., : self.count]
        return self._keys[:, :, : self.count], self._values[:, :, : self.count], is_token

    def keep(self, rows: Int64[Tensor, " kept"]) -> None:
        """Forget all other rows; the kept ones move to the front of the memory that is there already."""
        self._keys, self._values = (_kept(each, rows, self.count) for each in (self._keys, self._values))
        self._is_token = None if self._is_token is None else self._is_token[rows]


def _kept(
    held: Float[Tensor, "batch head capacity size"], rows: Int64[Tensor, " kept"], count: int
) -> Float[Tensor, "kept head capacity size"]:
    front = held[: len(rows)]
    front[:, :, :count] = held[rows, :, :count]
    return front


class Cache:
    """A LayerCache for each block, and the position of every token in its row.

    Prompts of `lengths` are padded on the right to the longest; each row's further tokens stand behind the padding,
    which none of them looks at, and count their positions as if it were not there.

    >>> cache = Cache(n_layers=1, capacity=5, lengths=torch.tensor([3, 1]))
    >>> cache.positions.tolist()
    [[0, 1, 2, 3, 4], [0, 0, 0, 1, 2]]
    """

    def __init__(self, n_layers: int, capacity: int, lengths: Int64[Tensor, " row"]) -> None:
        columns = torch.arange(capacity, device=lengths.device)
        is_token = (columns < lengths[:, None]) | (columns >= lengths.max())  # (row, capacity)
        self.positions: Int64[Tensor, "row capacity"] = is_token.cumsum(dim=1) - 1
        mask = None if is_token.all() else is_token[:, None, None, :]
        self.layers = [LayerCache(capacity, mask) for _ in range(n_layers)]

    @property
    def count(self) -> int:
        """Tokens read so far, of the longest row."""
        return self.layers[0].count

    def keep(self, rows: Int64[Tensor, " kept"]) -> None:
        """Go on with these rows alone, in this order; they count from 0 then."""
        self.positions = self.positions[rows]
        for layer in self.layers:
            layer.keep(rows)
