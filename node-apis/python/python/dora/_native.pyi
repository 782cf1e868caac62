from typing import Optional

from . import Node as Node
from . import SampleHandler as SampleHandler

__version__: str

def log_record(
    node_id: str, level: str, message: str, target: str, file: Optional[str], line: Optional[int]
) -> None: ...
def new_request_id() -> str: ...
