//! The allowed keys of every level: the one table that the parser, its messages and `dora-schema.json` follow.

use crate::timer::LEVELS;

/// What may stand behind a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A scalar, taken verbatim.
    Text,
    Bool,
    Int {
        min: u64,
        max: u64,
    },
    /// `500us`, `1.5s`, or a number of seconds; zero where it means something.
    Duration {
        zero: bool,
    },
    /// `256`, `50MB`; at least 1.
    Size,
    /// One of these words.
    Choice(&'static [&'static str]),
    List(&'static Kind),
    /// Names chosen by the user to values of one kind.
    Map(&'static Kind),
    /// Keys of another level.
    Object(&'static Level),
    /// A scalar of this kind, or a list of at least one.
    OneOrMore(&'static Kind),
    /// A scalar of the first kind, or the object.
    Either(&'static Kind, &'static Level),
    /// Not looked into.
    Any,
}

/// Keys of one kind of map.
#[derive(Debug)]
pub(crate) struct Level {
    /// Name in messages (`a node`) and, without the article, in the JSON schema.
    pub(crate) name: &'static str,
    pub(crate) keys: &'static [Key],
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    /// One line for editors.
    pub(crate) doc: &'static str,
}

impl Level {
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name)
    }

    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, required: false, doc }
}

const fn needed(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, required: true, doc }
}

const SECONDS: Kind = Kind::Duration { zero: true };
const POSITIVE: Kind = Kind::Duration { zero: false };
const COUNT: Kind = Kind::Int { min: 0, max: u32::MAX as u64 };
const TEXTS: Kind = Kind::List(&Kind::Text);
const TEXT_MAP: Kind = Kind::Map(&Kind::Text);
const ENV: Kind = Kind::Map(&Kind::Either(&Kind::Text, &HOST_ENV));
const INPUTS: Kind = Kind::Map(&Kind::Either(&Kind::Text, &INPUT));
const ON_MISS: Kind = Kind::Choice(&["warn", "skip", "stop"]);
const FRAMING: Kind = Kind::Map(&Kind::Choice(&["raw", "arrow-ipc"]));
const PATTERNS: Kind = Kind::Choice(&["service-server", "service-client", "action-server", "action-client"]);

/// Scheduling policies.
pub(crate) const POLICIES: [&str; 4] = ["fifo", "rr", "deadline", "other"];

/// Largest `queue_size`: what a ring can hold.
pub(crate) const MAX_QUEUE: u64 = 1 << 20;
/// Largest `queue_size` under `backpressure`, whose ring holds ten times as many.
pub(crate) const MAX_BACKPRESSURE_QUEUE: u64 = MAX_QUEUE / 10;

pub(crate) static DATAFLOW: Level = Level {
    name: "a dataflow",
    keys: &[
        needed("nodes", Kind::List(&Kind::Object(&NODE)), "The nodes of the dataflow."),
        key("strict_types", Kind::Bool, "Type warnings are errors."),
        key("type_rules", Kind::List(&Kind::Object(&TYPE_RULE)), "Further pairs of compatible types."),
        key("type_paths", TEXTS, "Further folders with user types, besides `types`."),
        key("health_check_interval", POSITIVE, "Seconds between health reports (5)."),
        key("env", ENV, "Environment of all nodes."),
        key("chains", Kind::List(&Kind::Object(&CHAIN)), "Bounds on the way from an output to an input."),
        key("exit_when_nodes_finish", Kind::Bool, "Nodes end when all their data inputs closed."),
        key("_unstable_deploy", Kind::Object(&DEPLOY), "Where nodes run unless they say otherwise."),
        key("deploy", Kind::Object(&DEPLOY), "Same as `_unstable_deploy`."),
        key("_unstable_debug", Kind::Object(&DEBUG), "Debug options."),
        key("debug", Kind::Object(&DEBUG), "Same as `_unstable_debug`."),
        key("communication", Kind::Any, "Deprecated, without effect."),
    ],
};

pub(crate) static NODE: Level = Level {
    name: "a node",
    keys: &[
        needed("id", Kind::Text, "Unique name: letters, digits, `_`, `.`, `-`."),
        key("name", Kind::Text, "Name for people."),
        key("description", Kind::Text, "What the node is for."),
        key("path", Kind::Text, "Executable or script, `shell`, `dynamic`, or a URL."),
        key("path_sha256", Kind::Text, "SHA-256 of the download, with a URL as `path`."),
        key("args", Kind::Text, "Command-line arguments, split like a shell does."),
        key("build", Kind::Text, "Commands that build the node, one per line."),
        key("git", Kind::Text, "Repository to clone before the build."),
        key("branch", Kind::Text, "Branch to check out; only with `git`."),
        key("tag", Kind::Text, "Tag to check out; only with `git`."),
        key("rev", Kind::Text, "Commit to check out; only with `git`."),
        key("module", Kind::Text, "File with a sub-dataflow."),
        key("params", TEXT_MAP, "Parameters of the module."),
        key("hub", Kind::Text, "Ready-made node of the node hub."),
        key("operator", Kind::Object(&OPERATOR), "One operator in a runtime process."),
        key("operators", Kind::List(&Kind::Object(&OPERATOR)), "Several operators in one runtime process."),
        key("ros2", Kind::Object(&ROS2), "Bridge to ROS 2."),
        key("custom", Kind::Object(&CUSTOM), "Deprecated: node source of version 0."),
        key("inputs", INPUTS, "Inputs: `name: node/output`, or the long form."),
        key("outputs", TEXTS, "Names of the outputs."),
        key("output_layout", Kind::Map(&Kind::Object(&LAYOUT)), "Memory reserved per output."),
        key("output_framing", FRAMING, "Wire format per output."),
        key("output_types", TEXT_MAP, "Type per output."),
        key("input_types", TEXT_MAP, "Expected type per input."),
        key("output_metadata", Kind::Map(&TEXTS), "Metadata keys that an output always carries."),
        key("pattern", PATTERNS, "Communication pattern."),
        key("env", ENV, "Environment of build and run."),
        key("send_stdout_as", Kind::Text, "Output that carries the printed lines."),
        key("send_logs_as", Kind::Text, "Output that carries structured log lines."),
        key("min_log_level", Kind::Choice(&LEVELS), "Less severe lines are not kept."),
        key("max_log_size", Kind::Size, "Rotate the log file at this size."),
        key("max_rotated_files", Kind::Int { min: 1, max: 100 }, "Rotated log files kept (5)."),
        key("restart_policy", Kind::Choice(&["never", "on-failure", "always"]), "When to start again."),
        key("max_restarts", COUNT, "Restarts before giving up; 0 = no limit."),
        key("restart_delay", SECONDS, "Before the first restart; doubles with each."),
        key("max_restart_delay", SECONDS, "Upper bound of the delay."),
        key("restart_window", SECONDS, "After this long the count starts again."),
        key("health_check_timeout", SECONDS, "Kill the node after this long without a sign of life."),
        key("startup_timeout", SECONDS, "Kill the node when it has not connected in time."),
        key("finish_grace_secs", SECONDS, "How long it may linger after its last input closed (120)."),
        key("cpu_affinity", Kind::List(&Kind::Int { min: 0, max: u32::MAX as u64 }), "Cores it may run on."),
        key("shared_memory_pool_size", Kind::Size, "Size of the shared-memory pool."),
        key("rt", Kind::Object(&RT), "Real-time scheduling."),
        key("wcet", POSITIVE, "Longest CPU time that handling one event takes; for `dora validate --rt`."),
        key("_unstable_deploy", Kind::Object(&DEPLOY), "Where the node runs."),
        key("deploy", Kind::Object(&DEPLOY), "Same as `_unstable_deploy`."),
    ],
};

pub(crate) static INPUT: Level = Level {
    name: "an input",
    keys: &[
        needed(
            "source",
            Kind::OneOrMore(&Kind::Text),
            "`<node>/<output>`, or a list of those; `dora/timer/…` or `dora/logs…`.",
        ),
        key("queue_size", Kind::Int { min: 0, max: MAX_QUEUE }, "Messages buffered (10)."),
        key("queue_policy", Kind::Choice(&["drop_oldest", "backpressure"]), "What a full queue does."),
        key("input_timeout", SECONDS, "The input counts as closed after this long without a message."),
        key("deadline", POSITIVE, "From send to the node taking it; late messages are counted."),
        key("on_miss", ON_MISS, "What a message past its deadline does (warn)."),
        key("triggers", Kind::Bool, "The node may send because of it (true); for `dora validate --rt`."),
    ],
};

pub(crate) static CHAIN: Level = Level {
    name: "a chain",
    keys: &[
        key("name", Kind::Text, "Name for messages and reports."),
        needed("from", Kind::Text, "`<node>/<output>` whose send begins it."),
        needed("to", Kind::Text, "`<node>/<input>` whose take ends it."),
        needed("within", POSITIVE, "Longest time from the send to the take."),
        key("on_miss", ON_MISS, "What a message does that took longer (warn)."),
    ],
};

pub(crate) static RT: Level = Level {
    name: "an `rt` block",
    keys: &[
        key("policy", Kind::Choice(&POLICIES), "Scheduling policy (other)."),
        key("priority", Kind::Int { min: 1, max: 99 }, "1 (lowest) to 99, for `fifo` and `rr`."),
        key("wait", Kind::Text, "`park` (default), `spin`, or `spin 50us`: spin that long, then park."),
        key("runtime", POSITIVE, "`deadline` only: CPU time per period."),
        key("deadline", POSITIVE, "`deadline` only: relative deadline (the period)."),
        key("period", POSITIVE, "`deadline` only: period."),
        key("lock_memory", Kind::Bool, "Lock all memory of the process (true)."),
    ],
};

pub(crate) static LAYOUT: Level = Level {
    name: "an output layout",
    keys: &[
        needed("max_message_bytes", Kind::Size, "Largest message, metadata included."),
        key("depth", Kind::Int { min: 1, max: 1 << 20 }, "Messages of that size locked in memory at start."),
    ],
};

static HOST_ENV: Level = Level {
    name: "an environment value",
    keys: &[needed("__dora_env", Kind::Text, "Variable of the machine that runs the node.")],
};

static TYPE_RULE: Level = Level {
    name: "a type rule",
    keys: &[needed("from", Kind::Text, "Type sent."), needed("to", Kind::Text, "Type expected.")],
};

pub(crate) static DEPLOY: Level = Level {
    name: "a deploy block",
    keys: &[
        key("machine", Kind::Text, "Machine id of the daemon."),
        key("labels", TEXT_MAP, "Labels that the daemon must have."),
        key("distribute", Kind::Choice(&["local", "scp", "http"]), "How the program gets there (local)."),
        key("working_dir", Kind::Text, "Working directory there."),
    ],
};

pub(crate) static DEBUG: Level = Level {
    name: "a debug block",
    keys: &[
        key("enable_debug_inspection", Kind::Bool, "Messages can be looked at with `dora topic`."),
        key("publish_all_messages_to_zenoh", Kind::Bool, "Same as `enable_debug_inspection`."),
    ],
};

pub(crate) static OPERATOR: Level = Level {
    name: "an operator",
    keys: &[
        key("id", Kind::Text, "Name; required under `operators`."),
        key("name", Kind::Text, "Name for people."),
        key("description", Kind::Text, "What the operator is for."),
        key("python", Kind::Either(&Kind::Text, &PYTHON), "Python file, or a URL."),
        key("shared-library", Kind::Text, "Library, without `lib` and extension, or a URL."),
        key("shared_library", Kind::Text, "Same as `shared-library`."),
        key("path_sha256", Kind::Text, "SHA-256 of the download, with a URL as source."),
        key("wasm", Kind::Text, "Reserved."),
        key("inputs", INPUTS, "Inputs."),
        key("outputs", TEXTS, "Names of the outputs."),
        key("output_layout", Kind::Map(&Kind::Object(&LAYOUT)), "Memory reserved per output."),
        key("build", Kind::Text, "Commands that build the operator, one per line."),
        key("send_stdout_as", Kind::Text, "Output that carries the printed lines."),
        key("send_logs_as", Kind::Text, "Output that carries structured log lines."),
        key("min_log_level", Kind::Choice(&LEVELS), "Less severe lines are not kept."),
        key("max_log_size", Kind::Size, "Rotate the log file at this size."),
        key("max_rotated_files", Kind::Int { min: 1, max: 100 }, "Rotated log files kept (5)."),
        key("output_types", TEXT_MAP, "Type per output."),
        key("input_types", TEXT_MAP, "Expected type per input."),
        key("output_metadata", Kind::Map(&TEXTS), "Metadata keys that an output always carries."),
        key("pattern", PATTERNS, "Communication pattern."),
        key("output_framing", FRAMING, "Wire format per output."),
    ],
};

static PYTHON: Level = Level {
    name: "a Python operator",
    keys: &[
        needed("source", Kind::Text, "Python file, or a URL."),
        key("conda_env", Kind::Text, "Conda environment to run in: its name or its folder."),
    ],
};

/// Keys of `custom` that have a counterpart today; anything else in it cannot be mapped.
pub(crate) static CUSTOM: Level = Level {
    name: "a `custom` block",
    keys: &[
        key("path", Kind::Text, "Now `path` of the node."),
        key("source", Kind::Text, "Now `path` of the node."),
        key("args", Kind::Text, "Now `args` of the node."),
        key("inputs", INPUTS, "Now `inputs` of the node."),
        key("outputs", TEXTS, "Now `outputs` of the node."),
        key("envs", ENV, "Now `env` of the node."),
    ],
};

pub(crate) static ROS2: Level = Level {
    name: "a `ros2` block",
    keys: &[
        key("topic", Kind::Text, "One topic."),
        key("message_type", Kind::Text, "`package/Type` of the topic."),
        key("direction", DIRECTION, "Towards dora (`subscribe`, default) or towards ROS 2."),
        key("topics", Kind::List(&Kind::Object(&ROS2_TOPIC)), "Several topics, 1 to 64."),
        key("service", Kind::Text, "A service."),
        key("service_type", Kind::Text, "`package/Type` of the service."),
        key("action", Kind::Text, "An action."),
        key("action_type", Kind::Text, "`package/Type` of the action."),
        key("role", Kind::Choice(&["client", "server"]), "Required for services and actions."),
        key("qos", Kind::Object(&QOS), "Quality of service."),
        key("namespace", Kind::Text, "ROS 2 namespace (`/`)."),
        key("node_name", Kind::Text, "ROS 2 node name (the node id)."),
        key("transport", Kind::Object(&TRANSPORT), "DDS or Zenoh."),
    ],
};

const DIRECTION: Kind = Kind::Choice(&["subscribe", "publish"]);

static ROS2_TOPIC: Level = Level {
    name: "a ROS 2 topic",
    keys: &[
        needed("topic", Kind::Text, "Name of the topic."),
        needed("message_type", Kind::Text, "`package/Type`."),
        key("direction", DIRECTION, "Towards dora (`subscribe`, default) or towards ROS 2."),
        key("output", Kind::Text, "Output that carries it."),
        key("input", Kind::Text, "Input that feeds it."),
        key("qos", Kind::Object(&QOS), "Quality of service of this topic."),
    ],
};

static QOS: Level = Level {
    name: "a `qos` block",
    keys: &[
        key("reliable", Kind::Bool, "Reliable instead of best effort (false)."),
        key("durability", Kind::Choice(&["volatile", "transient_local"]), "Durability (volatile)."),
        key(
            "liveliness",
            Kind::Choice(&["automatic", "manual_by_participant", "manual_by_topic"]),
            "Liveliness (automatic).",
        ),
        key("lease_duration", SECONDS, "Lease duration (infinite)."),
        key("max_blocking_time", SECONDS, "Longest wait of a reliable send (0.1)."),
        key("keep_last", Kind::Int { min: 1, max: 10_000 }, "History depth (1)."),
        key("keep_all", Kind::Bool, "Keep the whole history (false)."),
    ],
};

static TRANSPORT: Level = Level {
    name: "a `transport` block",
    keys: &[
        needed("kind", Kind::Choice(&["dds", "zenoh"]), "Transport."),
        key("compatibility", Kind::Choice(&["humble", "rep2016"]), "Zenoh only."),
        key("config_uri", Kind::Text, "Zenoh only."),
    ],
};

/// A file that `module` names.
pub(crate) static MODULE_FILE: Level = Level {
    name: "a module file",
    keys: &[
        needed("module", Kind::Object(&MODULE_HEADER), "What the module is called, takes and gives."),
        key("build", Kind::Text, "Commands that run before those of the nodes, one per line."),
        needed("nodes", Kind::List(&Kind::Object(&NODE)), "The nodes of the module."),
    ],
};

static MODULE_HEADER: Level = Level {
    name: "a module header",
    keys: &[
        needed("name", Kind::Text, "Name for people."),
        key("inputs", TEXTS, "Ports that must be wired."),
        key(
            "inputs_optional",
            TEXTS,
            "Ports that may be wired; what reads one that is not, has no such input.",
        ),
        key("outputs", TEXTS, "Outputs that others may read."),
        key(
            "params",
            Kind::List(&Kind::Object(&MODULE_PARAM)),
            "Parameters; if listed, there are no others.",
        ),
        key("input_types", TEXT_MAP, "Expected type per input."),
        key("output_types", TEXT_MAP, "Type per output."),
    ],
};

static MODULE_PARAM: Level = Level {
    name: "a parameter of a module",
    keys: &[
        needed("name", Kind::Text, "Name: letters, digits, `_`."),
        key(
            "default",
            Kind::Text,
            "What it is where the module node does not give it; without one it must be given.",
        ),
        key("description", Kind::Text, "What it is for."),
    ],
};

/// `types/<prefix>/<category>/v<n>.yml`
pub(crate) static TYPE_FILE: Level = Level {
    name: "a file with types",
    keys: &[needed("types", Kind::Map(&Kind::Object(&TYPE)), "The types by name.")],
};

static TYPE: Level = Level {
    name: "a type",
    keys: &[
        needed("arrow", Kind::Text, "`Struct`, or a primitive Arrow type."),
        key("description", Kind::Text, "What it is."),
        key("params", Kind::List(&Kind::Object(&TYPE_PARAM)), "What stands in brackets."),
        key("fields", Kind::List(&Kind::Object(&TYPE_FIELD)), "Fields of a struct."),
        key("metadata", Kind::List(&Kind::Object(&TYPE_METADATA)), "Metadata keys that its messages carry."),
    ],
};

static TYPE_PARAM: Level = Level {
    name: "a parameter",
    keys: &[
        needed("name", Kind::Text, "Name."),
        key("default", Kind::Text, "What it is where nothing is said."),
        key("description", Kind::Text, "What it is for."),
    ],
};

static TYPE_FIELD: Level = Level {
    name: "a field",
    keys: &[
        needed("name", Kind::Text, "Name."),
        needed("type", Kind::Text, "Primitive Arrow type, `List<…>`, or a type by name or URN."),
        key("nullable", Kind::Bool, "May be null (true)."),
        key("description", Kind::Text, "What it is."),
    ],
};

static TYPE_METADATA: Level = Level {
    name: "a metadata key",
    keys: &[needed("key", Kind::Text, "The key."), key("description", Kind::Text, "What it is.")],
};

/// `<stem>.dora-lock.yaml`
pub(crate) static LOCKFILE: Level = Level {
    name: "a lockfile",
    keys: &[
        needed("version", Kind::Int { min: 0, max: u32::MAX as u64 }, "Version of the format."),
        needed("git", Kind::List(&Kind::Object(&PIN)), "The repositories."),
    ],
};

static PIN: Level = Level {
    name: "a pin",
    keys: &[
        needed("url", Kind::Text, "As in the descriptor."),
        key("branch", Kind::Text, "As in the descriptor."),
        key("tag", Kind::Text, "As in the descriptor."),
        key("rev", Kind::Text, "As in the descriptor."),
        needed("commit", Kind::Text, "All digits of the commit that stands for it."),
    ],
};
