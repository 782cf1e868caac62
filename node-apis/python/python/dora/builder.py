"""Make a dataflow descriptor from Python instead of writing YAML by hand.

    from dora.builder import DataflowBuilder

    with DataflowBuilder("blink") as flow:
        lamp = flow.add_node("lamp", restart_policy="on-failure").path("lamp.py")
        lamp.add_input("tick", "dora/timer/millis/500")
        flow.to_yaml("blink.yml")

Every key that a descriptor knows can be set: the common ones have a method, all of them can be given by keyword to
`add_node`, `Node.set`, `Operator` and `DataflowBuilder`. A key that no descriptor knows is an error here, with the
nearest name, and not only when `dora` reads the file. What the values mean is checked by `dora validate`.
"""

from __future__ import annotations

import difflib
import os
import shlex

import yaml

__all__ = ["DataflowBuilder", "Node", "Operator", "Output"]

#: Keys of a descriptor besides `nodes`. The tables are compared with `dora-schema.json` by a test.
_DATAFLOW_KEYS = (
    "strict_types type_rules health_check_interval env exit_when_nodes_finish _unstable_deploy deploy"
    " _unstable_debug debug communication chains type_paths"
).split()

_NODE_KEYS = (
    "id name description path path_sha256 args build git branch tag rev module params hub operator operators ros2"
    " custom inputs outputs output_layout output_framing output_types input_types output_metadata pattern env"
    " send_stdout_as send_logs_as min_log_level max_log_size max_rotated_files restart_policy max_restarts"
    " restart_delay max_restart_delay restart_window health_check_timeout startup_timeout finish_grace_secs"
    " cpu_affinity shared_memory_pool_size rt wcet _unstable_deploy deploy"
).split()

_OPERATOR_KEYS = (
    "id name description python shared-library shared_library path_sha256 wasm inputs outputs output_layout build"
    " send_stdout_as send_logs_as min_log_level max_log_size max_rotated_files output_types input_types"
    " output_metadata pattern output_framing"
).split()

#: Keys of a node that `Node.set` leaves to a method.
_OWN_METHOD = {"id": "add_node", "inputs": "add_input", "outputs": "add_output", "operators": "add_operator"}

_INPUT_KEYS = "source queue_size queue_policy input_timeout deadline on_miss triggers".split()
_QUEUE_POLICIES = ("drop_oldest", "backpressure")


class DataflowBuilder:
    """A dataflow in the making. Keywords are keys of the descriptor, such as `strict_types=True` or `env={...}`."""

    def __init__(self, name="dora-dataflow", **kwargs):
        self.name = name
        self.nodes = []
        _check_keys(kwargs, _DATAFLOW_KEYS, f"dataflow `{name}`")
        self._config = kwargs

    def add_node(self, id, **kwargs):
        """Adds a node and returns it. Raises `ValueError` when the id is taken or a keyword is no key of a node."""
        if any(node.id == id for node in self.nodes):
            raise ValueError(f"node `{id}` is already in dataflow `{self.name}`: ids are unique")
        node = Node(id, **kwargs)
        self.nodes.append(node)
        return node

    def to_dict(self):
        """The descriptor as plain dicts and lists; nodes in the order in which they were added."""
        return dict(_plain(self._config), nodes=[node.to_dict() for node in self.nodes])

    def to_yaml(self, path=None):
        """The descriptor as text, or written to `path` (then `None`).

        A descriptor has no key for the name of the dataflow; it stands in the first line as a comment.
        """
        text = _yaml(self.to_dict())
        title = " ".join(str(self.name).split())
        text = f"# {title}\n{text}" if title else text
        if path is None:
            return text
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return None

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, traceback):
        return None


class _Ports:
    """Inputs and outputs, which nodes and operators have alike."""

    def __init__(self, inputs, outputs):
        self._inputs = {}
        self._outputs = []
        for input_id, source in dict(inputs or {}).items():
            options = dict(source) if isinstance(source, dict) else {"source": source}
            _check_keys(options, _INPUT_KEYS, f"input `{input_id}`")
            if "source" not in options:
                raise ValueError(f"input `{input_id}` has no `source`")
            self.add_input(input_id, **options)
        for output_id in outputs or ():
            self.add_output(output_id)

    def add_output(self, output_id):
        """Declares an output; a second time it changes nothing. Returns what `add_input` of another node takes."""
        if output_id not in self._outputs:
            self._outputs.append(output_id)
        return Output(self, output_id)

    def add_input(
        self,
        input_id,
        source,
        queue_size=None,
        queue_policy=None,
        input_timeout=None,
        deadline=None,
        on_miss=None,
        triggers=None,
    ):
        """Wires an input to an `Output`, or to `"node/output"`, `"dora/timer/..."`, `"dora/logs..."`.

        `input_timeout` is in seconds; `deadline` in seconds, or text with a unit such as `"500us"`; `on_miss` says what
        becomes of a message past it; `triggers=False` tells `dora validate --rt` that the node sends nothing because of it.
        """
        if not isinstance(source, (str, Output)):
            raise TypeError(f"input `{input_id}`: `source` is a str or an Output, not {type(source).__name__}")
        if queue_size is not None:
            if isinstance(queue_size, bool) or not isinstance(queue_size, int):
                raise TypeError(f"input `{input_id}`: `queue_size` is an int, not {type(queue_size).__name__}")
            if queue_size < 1:
                raise ValueError(f"input `{input_id}`: `queue_size` is at least 1, not {queue_size}")
        if queue_policy is not None and queue_policy not in _QUEUE_POLICIES:
            raise ValueError(
                f"input `{input_id}`: `queue_policy` is one of {_listed(_QUEUE_POLICIES)}, not {queue_policy!r}"
                + _did_you_mean(queue_policy, _QUEUE_POLICIES)
            )
        values = (source, queue_size, queue_policy, input_timeout, deadline, on_miss, triggers)
        self._inputs[input_id] = {k: v for k, v in zip(_INPUT_KEYS, values) if v is not None}
        return self

    def _ports_dict(self):
        ports = {}
        if self._inputs:
            # `name: source` where that says it all.
            ports["inputs"] = {
                name: _plain(options["source"] if len(options) == 1 else options)
                for name, options in self._inputs.items()
            }
        if self._outputs:
            ports["outputs"] = list(self._outputs)
        return ports


class Node(_Ports):
    """A node of a dataflow; made by `DataflowBuilder.add_node`. The methods return the node, so they chain."""

    def __init__(self, id, inputs=None, outputs=None, operators=None, **kwargs):
        self.id = id
        self._config = {}
        self._operators = []
        super().__init__(inputs, outputs)
        for operator in operators or ():
            self.add_operator(operator)
        self.set(**kwargs)

    def set(self, **kwargs):
        """Sets keys of the node; `None` takes a key away. Raises `ValueError` for what is no key of a node."""
        _check_keys(kwargs, _NODE_KEYS, f"node `{self.id}`")
        for key in kwargs:
            if key in _OWN_METHOD:
                raise ValueError(f"node `{self.id}`: `{key}` is set by `{_OWN_METHOD[key]}`")
        for key, value in kwargs.items():
            if value is None:
                self._config.pop(key, None)
            else:
                self._config[key] = value
        return self

    def path(self, path):
        """Executable or script, relative to the descriptor; `dynamic` for a node that is started by hand."""
        return self.set(path=path)

    def args(self, args):
        """Command-line arguments: text that is split like a shell does, or a list of words that are quoted here."""
        return self.set(args=args if isinstance(args, str) else shlex.join(map(str, args)))

    def env(self, env):
        """Environment variables of build and run. A second call adds to the first."""
        return self.set(env={**self._config.get("env", {}), **env})

    def build(self, build_command):
        """Command that builds the node; several are separated by newlines."""
        return self.set(build=build_command)

    def git(self, url, branch=None, tag=None, rev=None):
        """Repository that `dora build` clones; at most one of `branch`, `tag` and `rev`."""
        if sum(which is not None for which in (branch, tag, rev)) > 1:
            raise ValueError(f"node `{self.id}`: give at most one of `branch`, `tag` and `rev`")
        return self.set(git=url, branch=branch, tag=tag, rev=rev)

    def add_operator(self, operator):
        """Adds an operator; the node is then a runtime that runs all its operators in one process."""
        if not isinstance(operator, Operator):
            raise TypeError(f"node `{self.id}`: add_operator takes an Operator, not {type(operator).__name__}")
        if operator.node is not None and operator.node is not self:
            raise ValueError(f"operator `{operator.id}` is already in node `{operator.node.id}`")
        if any(other.id == operator.id for other in self._operators):
            raise ValueError(f"node `{self.id}` already has an operator `{operator.id}`: ids are unique")
        operator.node = self
        self._operators.append(operator)
        return self

    def to_dict(self):
        """The node as it stands in a descriptor."""
        node = {"id": self.id}
        node.update(_plain(self._config))
        if self._operators:
            node["operators"] = [operator.to_dict() for operator in self._operators]
        node.update(self._ports_dict())
        return node

    def _address(self):
        return self.id


class Operator(_Ports):
    """An operator of a runtime node: a Python file or a shared library."""

    def __init__(
        self,
        id,
        name=None,
        description=None,
        build=None,
        python=None,
        shared_library=None,
        send_stdout_as=None,
        inputs=None,
        outputs=None,
        **kwargs,
    ):
        self.id = id
        #: The node that it was added to.
        self.node = None
        super().__init__(inputs, outputs)
        _check_keys(kwargs, _OPERATOR_KEYS, f"operator `{id}`")
        given = {
            "name": name,
            "description": description,
            "build": build,
            "python": python,
            "shared-library": shared_library,
            "send_stdout_as": send_stdout_as,
            **kwargs,
        }
        self._config = {key: value for key, value in given.items() if value is not None}

    def to_dict(self):
        """The operator as it stands in a descriptor."""
        return {"id": self.id, **_plain(self._config), **self._ports_dict()}

    def _address(self):
        if self.node is None:
            raise ValueError(f"operator `{self.id}` is in no node yet: call `node.add_operator(operator)`")
        return f"{self.node.id}/{self.id}"


class Output:
    """An output of a node or of an operator. `str(output)` is `node/output`, or `node/operator/output`."""

    def __init__(self, node, output_id):
        self.node = node
        self.output_id = output_id

    def __str__(self):
        return f"{self.node._address()}/{self.output_id}"

    def __repr__(self):
        return f"Output({self.node.id!r}, {self.output_id!r})"


def _check_keys(given, known, where):
    for key in given:
        if key not in known:
            raise ValueError(f"{where}: `{key}` is no key of a descriptor there" + _did_you_mean(key, known))


def _did_you_mean(typed, known):
    nearest = difflib.get_close_matches(str(typed).lower(), known, n=1, cutoff=0.6)
    return f"; did you mean `{nearest[0]}`?" if nearest else f"; known are {_listed(known)}"


def _listed(names):
    return ", ".join(f"`{name}`" for name in names)


def _plain(value):
    """Only what YAML has: dicts, lists, scalars."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, Output):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, and no anchors: the file is for people, too."""

    def ignore_aliases(self, data):
        return True


def _text(dumper, text):
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _yaml(tree):
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=100)
