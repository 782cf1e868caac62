from os import PathLike
from types import TracebackType
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Type, TypeVar, Union, overload

_Path = Union[str, "PathLike[str]"]
_Self = TypeVar("_Self", bound="_Ports")

class DataflowBuilder:
    name: str
    nodes: List[Node]
    def __init__(self, name: str = ..., **kwargs: Any) -> None: ...
    def add_node(self, id: str, **kwargs: Any) -> Node: ...
    def to_dict(self) -> Dict[str, Any]: ...
    @overload
    def to_yaml(self, path: None = ...) -> str: ...
    @overload
    def to_yaml(self, path: _Path) -> None: ...
    def __enter__(self) -> DataflowBuilder: ...
    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc_value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None: ...

class _Ports:
    id: str
    def add_output(self, output_id: str) -> Output: ...
    def add_input(
        self: _Self,
        input_id: str,
        source: Union[str, Output],
        queue_size: Optional[int] = ...,
        queue_policy: Optional[str] = ...,
        input_timeout: Optional[float] = ...,
        deadline: Union[float, str, None] = ...,
        on_miss: Optional[str] = ...,
        triggers: Optional[bool] = ...,
    ) -> _Self: ...

class Node(_Ports):
    def __init__(
        self,
        id: str,
        inputs: Optional[Mapping[str, Union[str, Output, Mapping[str, Any]]]] = ...,
        outputs: Optional[Iterable[str]] = ...,
        operators: Optional[Iterable[Operator]] = ...,
        **kwargs: Any,
    ) -> None: ...
    def set(self, **kwargs: Any) -> Node: ...
    def path(self, path: _Path) -> Node: ...
    def args(self, args: Union[str, Sequence[object]]) -> Node: ...
    def env(self, env: Mapping[str, Any]) -> Node: ...
    def build(self, build_command: str) -> Node: ...
    def git(
        self,
        url: str,
        branch: Optional[str] = ...,
        tag: Optional[str] = ...,
        rev: Optional[str] = ...,
    ) -> Node: ...
    def add_operator(self, operator: Operator) -> Node: ...
    def to_dict(self) -> Dict[str, Any]: ...

class Operator(_Ports):
    node: Optional[Node]
    def __init__(
        self,
        id: str,
        name: Optional[str] = ...,
        description: Optional[str] = ...,
        build: Optional[str] = ...,
        python: Union[str, Mapping[str, Any], None] = ...,
        shared_library: Optional[_Path] = ...,
        send_stdout_as: Optional[str] = ...,
        inputs: Optional[Mapping[str, Union[str, Output, Mapping[str, Any]]]] = ...,
        outputs: Optional[Iterable[str]] = ...,
        **kwargs: Any,
    ) -> None: ...
    def to_dict(self) -> Dict[str, Any]: ...

class Output:
    node: Union[Node, Operator]
    output_id: str
    def __init__(self, node: Union[Node, Operator], output_id: str) -> None: ...
    def __str__(self) -> str: ...
