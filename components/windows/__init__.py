"""Token ids on disk, windows as views, batches by number."""

from components.windows.batches import Batches as Batches
from components.windows.batches import in_order as in_order
from components.windows.windows import Windows as Windows
