//! One table per group of rules: what is typed, and what a user must read about it.

use std::{path::Path, time::Duration};

use dora_descriptor::{Errors, Loaded, parse_str};
use dora_protocol::{
    dataflow::{EnvValue, NodeKind, Source},
    policy::{OnMiss, QueuePolicy},
    rt::{SchedPolicy, WaitPolicy},
};

fn parse(text: &str) -> Result<Loaded, Errors> {
    parse_str("flow.yml", text, Path::new("/work dir"), &[])
}

fn good(text: &str) -> Loaded {
    parse(text).unwrap_or_else(|errors| panic!("must be accepted:\n{text}\n{errors}"))
}

fn bad(text: &str) -> String {
    match parse(text) {
        Ok(_) => panic!("must be refused:\n{text}"),
        Err(errors) => errors.to_string(),
    }
}

/// One node `n` with `path: x`, plus these lines.
fn node(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!("nodes:\n  - id: n\n    path: x\n{lines}")
}

/// Every text is refused, and each part is in the message.
fn refused(table: &[(&str, &[&str])]) {
    for (text, parts) in table {
        let message = bad(text);
        for part in *parts {
            assert!(message.contains(part), "{text}\nsays\n{message}\nwithout\n{part}");
        }
    }
}

fn refused_in_node(table: &[(&str, &[&str])]) {
    for (lines, parts) in table {
        refused(&[(&node(lines), parts)]);
    }
}

fn warned(text: &str, part: &str) {
    let loaded = good(text);
    let all = loaded.warnings.iter().chain(&loaded.type_warnings);
    let warnings: Vec<String> = all.map(ToString::to_string).collect();
    assert!(warnings.iter().any(|warning| warning.contains(part)), "{text}\n{warnings:?}\n{part}");
}

#[test]
fn an_error_says_file_line_column_node_field_and_hint() {
    let text = "nodes:\n  - id: cam\n    path: cam.py\n    inputs:\n      tick:\n        source: dora/timer/hz/1\n        queue_sise: 3\n";
    assert_eq!(
        bad(text),
        "flow.yml:7:9: node `cam`: inputs.tick: unknown key `queue_sise` in an input\n  \
         hint: did you mean `queue_size`?\n  \
         hint: allowed here: deadline, input_timeout, on_miss, queue_policy, queue_size, source, triggers"
    );
}

#[test]
fn independent_errors_are_reported_together_and_in_order() {
    let text = "nodes:\n  - id: a\n    path: x\n    cpu_affinity: [x]\n  - id: a\n    path: y\n    \
                inputs: { i: zz/out }\n  - id: b\n    pth: z\nfoo: 1\n";
    let Err(errors) = parse(text) else { panic!("must be refused") };
    let lines: Vec<u32> = errors.0.iter().map(|problem| problem.at.line).collect();
    assert_eq!(lines, [4, 5, 7, 9, 10], "{errors}");
}

#[test]
fn unknown_keys_are_errors_at_every_level() {
    refused(&[
        ("nods: []\n", &["1:1", "did you mean `nodes`?", "needs `nodes`"]),
        (
            "nodes: []\ndebug: { inspect: true }\n",
            &["debug: unknown key `inspect`", "enable_debug_inspection"],
        ),
        ("nodes: []\ndeploy: { machin: a }\n", &["did you mean `machine`?"]),
        ("nodes: []\ntype_rules: [{ form: a, to: b }]\n", &["did you mean `from`?"]),
    ]);
    refused_in_node(&[
        ("ouputs: [a]", &["node `n`", "did you mean `outputs`?"]),
        ("rt: { prio: 3 }", &["rt: unknown key `prio`", "allowed here: deadline, lock_memory"]),
        ("outputs: [a]\noutput_layout: { a: { size: 3 } }", &["unknown key `size`", "max_message_bytes"]),
        ("env: { A: { dora_env: B } }", &["did you mean `__dora_env`?"]),
        ("_unstable_deploy: { label: { a: b } }", &["did you mean `labels`?"]),
        ("<<: { env: {} }", &["merge keys are not part of YAML 1.2"]),
    ]);
    refused(&[
        ("nodes:\n- id: a\n  operator: { pyton: x }\n", &["did you mean `python`?"]),
        ("nodes:\n- id: a\n  operator: { python: { sorce: x } }\n", &["did you mean `source`?"]),
        ("nodes:\n- id: a\n  ros2: { topik: /x }\n", &["did you mean `topic`?"]),
        ("nodes:\n- id: a\n  ros2: { topic: /x, qos: { relible: true } }\n", &["did you mean `reliable`?"]),
        ("nodes:\n- id: a\n  custom: { source: x, working_dir: y }\n", &["unknown key `working_dir`"]),
    ]);
}

#[test]
fn duplicate_keys_and_ids_name_the_first_one() {
    refused(&[
        ("nodes: []\nnodes: []\n", &["2:1: key `nodes` is given twice; first on line 1"]),
        ("nodes:\n- id: a\n  path: x\n- id: a\n  path: y\n", &["4:7: node `a`: id: the id is taken: line 2"]),
        ("nodes:\n- id: a\n  path: x\n  outputs: [o, o]\n", &["`o` is listed twice"]),
    ]);
}

#[test]
fn wrong_kinds_of_values_say_what_was_expected() {
    refused(&[
        ("- a\n", &["1:1: expected a dataflow with keys such as `nodes`", "found a list"]),
        ("nodes: x\n", &["nodes: expected a list, found `x`"]),
        ("nodes: [x]\n", &["expected a node with keys such as `id`"]),
        ("nodes: []\nstrict_types: yes\n", &["`yes`: expected `true` or `false`"]),
        ("nodes: []\nhealth_check_interval: 0\n", &["must be more than zero"]),
        ("nodes: []\nhealth_check_interval: .inf\n", &["expected a duration"]),
        ("nodes: []\nenv: [A]\n", &["expected `name: value` entries, found a list"]),
        ("nodes:\n- path: x\n", &["node `#1`: a node needs `id`"]),
        ("nodes:\n- id:\n  path: x\n", &["nothing is written here; expected a text"]),
    ]);
    refused_in_node(&[
        ("outputs: a", &["expected a list, found `a`", "write `- a`"]),
        ("outputs: [[a]]", &["expected a text, found a list"]),
        ("inputs: [a/b]", &["inputs: expected `name: value` entries"]),
        ("inputs: { i: { queue_size: 3 } }", &["inputs.i: an input needs `source`"]),
        ("args: [a, b]", &["args: expected a text, found a list"]),
        ("args: \"a\\0b\"", &["NUL"]),
    ]);
}

#[test]
fn numbers_have_ranges_and_choices_have_names() {
    refused_in_node(&[
        ("inputs: { i: { source: n/o, queue_size: -1 } }", &["queue_size: `-1`: expected an integer from 0"]),
        ("inputs: { i: { source: n/o, queue_size: 1.5 } }", &["expected an integer"]),
        ("inputs: { i: { source: n/o, queue_size: 99999999 } }", &["expected an integer from 0 to 1048576"]),
        (
            "outputs: [o]\ninputs: { i: { source: n/o, queue_size: 200000, queue_policy: backpressure } }",
            &["at most 104857"],
        ),
        (
            "inputs: { i: { source: n/o, queue_policy: drop_newest } }",
            &["inputs.i.queue_policy: `drop_newest`: expected one of `drop_oldest`, `backpressure`"],
        ),
        ("inputs: { i: { source: n/o, queue_policy: drop-oldest } }", &["did you mean `drop_oldest`?"]),
        ("inputs: { i: { source: n/o, input_timeout: -1 } }", &["input_timeout"]),
        ("inputs: { i: { source: n/o, input_timeout: nan } }", &["input_timeout"]),
        ("inputs: { i: { source: n/o, deadline: 0us } }", &["must be more than zero"]),
        ("inputs: { i: { source: n/o, deadline: 5 parsecs } }", &["expected a duration such as `500us`"]),
        ("max_rotated_files: 0", &["from 1 to 100"]),
        ("max_log_size: 5TB", &["max_log_size: `5TB`: expected a number of bytes"]),
        ("min_log_level: INFO", &["did you mean `info`?"]),
        ("restart_policy: on_failure", &["did you mean `on-failure`?"]),
        ("restart_delay: -1", &["restart_delay"]),
        ("cpu_affinity: [-1]", &["cpu_affinity"]),
        ("pattern: server", &["`service-server`"]),
    ]);
}

#[test]
fn ids_follow_the_rules_and_garbage_ids_are_cut_short() {
    refused(&[
        ("nodes:\n- id: a/b\n  path: x\n", &["2:7", "not a valid node id", "separates node and output"]),
        ("nodes:\n- id: dora\n  path: x\n", &["reserved for built-in sources"]),
        ("nodes:\n- id: .a\n  path: x\n", &["must not start with `.`"]),
        ("nodes:\n- id: \"a b\"\n  path: x\n", &["only letters"]),
        ("nodes:\n- id: a\n  path: x\n  outputs: [a//b]\n", &["outputs: `a//b` is not a valid data id"]),
        ("nodes:\n- id: a\n  path: x\n  inputs: { /b: a/c }\n", &["inputs: `/b` is not a valid data id"]),
    ]);
    let long = bad(&format!("nodes:\n- id: {}\n  path: x\n", "é".repeat(5000)));
    assert!(long.len() < 1000, "{long}");
}

#[test]
fn a_source_must_exist_and_the_nearest_name_is_offered() {
    let flow = |source: &str| {
        format!(
            "nodes:\n- id: camera\n  path: x\n  outputs: [image, depth]\n- id: plot\n  path: y\n  inputs:\n    i: {source}\n"
        )
    };
    refused(&[
        (&flow("camra/image"), &["8:8: node `plot`: i: source node `camra` does not exist", "`camera`?"]),
        (&flow("robot/image"), &["source node `robot` does not exist", "the nodes are `camera`, `plot`"]),
        (
            &flow("camera/imgae"),
            &[
                "output `imgae` does not exist on node `camera`",
                "`image`?",
                "its outputs are `depth`, `image`",
            ],
        ),
        (&flow("plot/x"), &["output `x` does not exist on node `plot`", "declares no outputs"]),
        (&flow("camera"), &["`camera` is not a source", "`camera/depth`"]),
        (&flow("dora/timer/milis/5"), &["did you mean `millis`?"]),
        (&flow("dora/timer/millis/0"), &["cannot tick every 0 seconds"]),
        (&flow("dora/timer/secs/99999999999"), &["longer than 292 years"]),
        (&flow("dora/clock"), &["`dora/clock` is not a built-in source"]),
        (&flow("dora/logs/info/camra"), &["source node `camra` does not exist"]),
        (&flow("dora/logs/loud"), &["`loud` is not a log level"]),
        (&flow("_mod/goal"), &["port of a module"]),
    ]);
}

#[test]
fn a_misspelt_outputs_key_is_reported_once_and_not_at_every_reader() {
    let text =
        "nodes:\n- id: a\n  path: x\n  output: [o]\n- id: b\n  path: y\n  inputs: { i: a/o, j: a/p }\n";
    let Err(errors) = parse(text) else { panic!("must be refused") };
    assert_eq!(errors.0.len(), 1, "{errors}");
}

#[test]
fn wiring_becomes_indices_and_loops_are_legal() {
    let text = "nodes:\n- id: a\n  path: x\n  inputs: { back: b/two, own: a/one }\n  outputs: [one]\n\
                - id: b\n  path: y\n  inputs: { i: a/one }\n  outputs: [one, two]\n";
    let flow = good(text).dataflow;
    let sources: Vec<&Source> =
        flow.nodes.iter().flat_map(|node| node.inputs.iter().map(|input| &input.source)).collect();
    let output = |node, output| Source::Output { node, output };
    assert_eq!(sources, [&output(1, 1), &output(0, 0), &output(0, 0)]);
    assert_eq!(flow.name, "flow");
    assert_eq!(flow.nodes[1].outputs[1].at.line, 9);
}

#[test]
fn inputs_have_defaults_and_a_queue_of_zero_holds_one() {
    let text = node(
        "outputs: [o]\ninputs:\n  short: n/o\n  zero: { source: n/o, queue_size: 0 }\n  \
         long: { source: n/o, queue_size: 7, queue_policy: backpressure, input_timeout: 1.5, deadline: 500us }\n  \
         tick: { source: dora/timer/hz/1000, deadline: 100us }",
    );
    let flow = good(&text).dataflow;
    let inputs = &flow.nodes[0].inputs;
    assert_eq!((inputs[0].queue_size, inputs[0].policy), (10, QueuePolicy::DropOldest));
    assert_eq!(inputs[1].queue_size, 1);
    assert_eq!((inputs[2].queue_size, inputs[2].policy), (7, QueuePolicy::Backpressure));
    assert_eq!(inputs[2].input_timeout, Some(Duration::from_millis(1500)));
    assert_eq!(inputs[2].deadline, Some(Duration::from_micros(500)));
    assert_eq!(inputs[3].source, Source::Timer { period_ns: 1_000_000 });
    assert_eq!(inputs[3].deadline, Some(Duration::from_micros(100)));
}

const IMU_TO_MOTOR: &str = "nodes:\n- id: imu\n  path: x\n  outputs: [sample, debug]\n- id: ctl\n  path: x\n  \
     inputs: { imu: imu/sample }\n  outputs: [torque]\n- id: motor\n  path: x\n  inputs: { torque: ctl/torque, \
     log: imu/debug }\n";

#[test]
fn chains_become_indices_and_say_what_a_late_message_does() {
    let chains = "chains:\n- { from: imu/sample, to: motor/torque, within: 2ms }\n\
                  - { name: fast, from: ctl/torque, to: motor/torque, within: 500us, on_miss: stop }\n";
    let flow = good(&format!("{IMU_TO_MOTOR}{chains}")).dataflow;
    let [long, fast] = &flow.chains[..] else { panic!("two chains: {:?}", flow.chains) };
    assert_eq!((long.name.as_str(), long.from, long.to), ("imu/sample -> motor/torque", (0, 0), (2, 0)));
    assert_eq!((long.within, long.on_miss), (Duration::from_millis(2), OnMiss::Warn));
    assert_eq!((fast.name.as_str(), fast.from, fast.on_miss), ("fast", (1, 0), OnMiss::Stop));
}

#[test]
fn a_chain_between_ends_that_do_not_exist_or_are_not_connected_is_refused() {
    let chain = |text: &str| format!("{IMU_TO_MOTOR}chains:\n- {{ {text} }}\n");
    refused(&[
        (&chain("from: imu/sampel, to: motor/torque, within: 2ms"), &["`sampel`", "did you mean `sample`?"]),
        (&chain("from: imu, to: motor/torque, within: 2ms"), &["`from: imu` is no `<node>/<output>`"]),
        (&chain("from: inu/sample, to: motor/torque, within: 2ms"), &["node `inu`", "did you mean `imu`?"]),
        (
            &chain("from: imu/sample, to: motor/torqe, within: 2ms"),
            &["input `torqe`", "did you mean `torque`?"],
        ),
        (&chain("from: imu/sample, to: motor/log, within: 2ms"), &["no way leads from output `imu/sample`"]),
        (&chain("from: imu/sample, to: motor/torque"), &["within"]),
        (&chain("from: imu/sample, to: motor/torque, within: 0s"), &["must be more than zero"]),
        (
            &chain("from: imu/sample, to: motor/torque, within: 2ms, on_miss: panic"),
            &["expected one of `warn`, `skip`, `stop`"],
        ),
    ]);
}

#[test]
fn a_node_is_exactly_one_thing() {
    refused(&[
        ("nodes:\n- id: a\n", &["nothing says what to start", "`path`, `module`, `hub`"]),
        ("nodes:\n- id: a\n  git: https://x\n", &["`path` says what to start in it"]),
        ("nodes:\n- id: a\n  path: x\n  module: y\n", &["4:3", "this one has `path` and `module`"]),
        ("nodes:\n- id: a\n  operator: {python: x}\n  operators: []\n", &["`operator` and `operators`"]),
        ("nodes:\n- id: a\n  path: ''\n", &["path: must not be empty"]),
        ("nodes:\n- id: a\n  path: dora/timer/millis/5\n", &["inputs: { tick: dora/timer/millis/5 }"]),
        ("nodes:\n- id: a\n  path: shell\n", &["a shell node needs `args`"]),
    ]);
}

#[test]
fn each_kind_of_node_has_its_keys() {
    refused(&[
        ("nodes:\n- id: a\n  path: x\n  params: {a: b}\n", &["a node with `path` cannot have `params`"]),
        (
            "nodes:\n- id: a\n  operator: {python: x}\n  outputs: [o]\n",
            &[
                "an operator node cannot have `outputs`",
                "belong to the operators",
                "allowed here: _unstable_deploy",
            ],
        ),
        ("nodes:\n- id: a\n  module: m.yml\n  outputs: [o]\n", &["declared in the module file"]),
        ("nodes:\n- id: a\n  module: m.yml\n  args: x\n", &["a module node cannot have `args`"]),
        ("nodes:\n- id: a\n  hub: p\n  build: x\n", &["a hub node cannot have `build`"]),
        ("nodes:\n- id: a\n  module: m.yml\n  params: {a-b: c}\n", &["only letters, digits and `_`"]),
        ("nodes:\n- id: a\n  path: x\n  branch: main\n", &["`branch` needs `git`"]),
        (
            "nodes:\n- id: a\n  path: x\n  git: g\n  tag: a\n  rev: b\n",
            &["`tag` and `rev` exclude each other"],
        ),
        ("nodes:\n- id: a\n  path: x\n  path_sha256: abc\n", &["expected 64 hexadecimal digits"]),
        (&format!("nodes:\n- id: a\n  path: x\n  path_sha256: {}\n", "a".repeat(64)), &["only with a URL"]),
        ("nodes:\n- id: a\n  path: x\n  deploy: {}\n  _unstable_deploy: {}\n", &["two names of one block"]),
        ("nodes: []\ndebug: {}\n_unstable_debug: {}\n", &["two names of one block"]),
    ]);
}

#[test]
fn arguments_are_split_like_a_shell_does() {
    let flow = good(&node("args: --name 'two words' \"x\"")).dataflow;
    let NodeKind::Executable { path, args } = &flow.nodes[0].kind else { panic!("{:?}", flow.nodes[0].kind) };
    assert_eq!((path.as_str(), args.as_slice()), ("x", &["--name", "two words", "x"].map(String::from)[..]));
    refused_in_node(&[("args: --name 'open", &["args: a quote is opened and not closed"])]);
    let shell = good("nodes:\n- id: a\n  path: shell\n  args: echo it's\n").dataflow;
    assert_eq!(shell.nodes[0].kind, NodeKind::Shell { command: "echo it's".into() });
    assert_eq!(good(&node("build: |\n  one\n\n  two\n")).dataflow.nodes[0].build, ["one", "two"]);
}

#[test]
fn environment_is_merged_by_precedence_and_kept_verbatim() {
    let text = "env: { A: top, B: top, C: top, V: \"1.10\", N: 1.10, T: true }\nnodes:\n- id: a\n  path: x\n  \
                env: { A: node, H: { __dora_env: HOST } }\n";
    let overrides = [("A".to_owned(), "cli".to_owned()), ("B".to_owned(), "cli".to_owned())];
    let flow = parse_str("f.yml", text, Path::new("/"), &overrides).unwrap().dataflow;
    let env = &flow.nodes[0].env;
    for (name, value) in
        [("A", "node"), ("B", "cli"), ("C", "top"), ("V", "1.10"), ("N", "1.10"), ("T", "true")]
    {
        assert_eq!(env[name], EnvValue::Text(value.into()), "{name}");
    }
    assert_eq!(env["H"], EnvValue::FromHost("HOST".into()));
}

#[test]
fn reserved_variables_are_dropped_with_a_warning_and_bad_names_refused() {
    for name in ["LD_PRELOAD", "DORA_NODE_CONFIG", "DORA_ZENOH_MODE", "DORA_AUTH_TOKEN"] {
        let text = node(&format!("env: {{ {name}: x }}"));
        warned(&text, &format!("`{name}` is reserved"));
        assert!(good(&text).dataflow.nodes[0].env.is_empty());
    }
    refused_in_node(&[
        ("env: { 'A B': x }", &["`A B` is not a variable name"]),
        ("env: { 'A=B': x }", &["not a variable name"]),
        ("env: { '': x }", &["is empty"]),
        ("env: { A: { __dora_env: 'X Y' } }", &["__dora_env", "not a variable name"]),
        ("env: { A: [x] }", &["expected a text, found a list"]),
    ]);
    let overrides = [("A=".to_owned(), "x".to_owned())];
    let errors = parse_str("f.yml", "nodes: []", Path::new("/"), &overrides).unwrap_err();
    assert!(errors.to_string().contains("--env: `A=` is not a variable name"), "{errors}");
}

#[test]
fn rt_blocks_resolve_with_their_defaults() {
    let rt = |lines: &str| good(&node(&format!("rt: {lines}"))).dataflow.nodes[0].rt.clone().unwrap();
    let fifo = rt("{ policy: fifo, priority: 80, wait: spin 50us }");
    assert_eq!((fifo.policy, fifo.priority, fifo.lock_memory), (SchedPolicy::Fifo, Some(80), true));
    assert_eq!(fifo.wait, WaitPolicy::SpinThenPark { spin_ns: 50_000 });
    let deadline = rt("{ policy: deadline, runtime: 200us, period: 1ms, lock_memory: false }");
    assert_eq!(deadline.runtime_ns, Some(200_000));
    assert_eq!((deadline.deadline_ns, deadline.period_ns), (Some(1_000_000), Some(1_000_000)));
    assert!(!deadline.lock_memory);
    let waiting = rt("{ wait: spin }");
    assert_eq!((waiting.policy, waiting.wait), (SchedPolicy::Other, WaitPolicy::Spin));
    assert_eq!(good(&node("name: x")).dataflow.nodes[0].rt, None);
}

#[test]
fn rt_numbers_must_fit_their_policy() {
    refused_in_node(&[
        ("rt: { policy: fifo }", &["policy `fifo` needs a `priority` from 1 to 99"]),
        ("rt: { policy: fifo, priority: 0 }", &["rt.priority: `0`: expected an integer from 1 to 99"]),
        ("rt: { policy: rr, priority: 100 }", &["from 1 to 99"]),
        ("rt: { policy: other, priority: 5 }", &["rt.priority: has no meaning under policy `other`"]),
        ("rt: { priority: 5 }", &["priorities are for `policy: fifo`"]),
        ("rt: { policy: fifoo, priority: 5 }", &["did you mean `fifo`?"]),
        (
            "rt: { policy: fifo, priority: 5, period: 1ms }",
            &["rt.period: has no meaning under policy `fifo`"],
        ),
        ("rt: { policy: deadline, period: 1ms }", &["needs `runtime` and `period`"]),
        ("rt: { policy: deadline, runtime: 2ms, period: 1ms }", &["runtime <= deadline <= period"]),
        ("rt: { policy: deadline, runtime: 1us, deadline: 2ms, period: 1ms }", &["runtime <= deadline"]),
        ("rt: { policy: deadline, runtime: 100ns, period: 1ms }", &["no less than 1024ns"]),
        ("rt: { policy: deadline, priority: 3, runtime: 1ms, period: 1ms }", &["has no meaning"]),
        ("rt: { wait: sleep }", &["expected `park`, `spin` or `spin 50us`, found `sleep`"]),
        ("rt: { wait: spin 0us }", &["spinning for no time is `park`"]),
        ("rt: { wait: spin fast }", &["expected a duration"]),
        ("rt:", &["expected an `rt` block"]),
    ]);
    refused(&[(
        "nodes:\n- id: a\n  path: shell\n  args: x\n  rt: { wait: spin }\n",
        &["a shell is not a dora node"],
    )]);
    warned(&node("rt: { policy: fifo, priority: 5, wait: spin }"), "without `cpu_affinity`");
    warned(
        &node("cpu_affinity: [1]\nrt: { policy: deadline, runtime: 1ms, period: 2ms }"),
        "the kernel refuses policy `deadline`",
    );
}

#[test]
fn output_layout_and_framing_belong_to_declared_outputs() {
    let text = node("outputs: [a, b]\noutput_layout: { a: { max_message_bytes: 4MB, depth: 8 } }");
    let flow = good(&text).dataflow;
    let output = &flow.nodes[0].outputs[0];
    assert_eq!((output.max_message_bytes, output.depth), (Some(4 << 20), Some(8)));
    assert_eq!(flow.nodes[0].outputs[1].max_message_bytes, None);
    refused_in_node(&[
        (
            "outputs: [image]\noutput_layout: { imag: { max_message_bytes: 5 } }",
            &["not an output", "`image`?"],
        ),
        ("outputs: [a]\noutput_layout: { a: { depth: 5 } }", &["needs `max_message_bytes`"]),
        ("outputs: [a]\noutput_layout: { a: { max_message_bytes: 0 } }", &["at least one byte"]),
        ("outputs: [a]\noutput_layout: { a: { max_message_bytes: 5, depth: 0 } }", &["from 1 to"]),
        (
            "outputs: [a]\noutput_layout: { a: { max_message_bytes: 99999999G, depth: 9 } }",
            &["than any machine"],
        ),
        ("outputs: [a]\noutput_framing: { b: raw }", &["output_framing: `b` is not an output"]),
        ("outputs: [a]\noutput_framing: { a: ipc }", &["expected one of `raw`, `arrow-ipc`"]),
    ]);
}

#[test]
fn type_annotations_warn_and_under_strict_types_refuse() {
    let text = node("outputs: [a]\noutput_types: { b: std/core/v1/Bool }\ninput_types: { x: Image }");
    warned(&text, "output_types key `b` not found in outputs list");
    warned(&text, "a type reads `<prefix>/<category>/v<n>/<Name>`");
    let strict = bad(&format!("strict_types: true\n{text}"));
    assert!(strict.contains("output_types key `b` not found in outputs list"), "{strict}");
}

#[test]
fn operators_have_one_source_each_and_are_addressed_by_name() {
    let flow = |source: &str| {
        format!(
            "nodes:\n- id: rt\n  operators:\n  - {{ id: pre, python: p.py, inputs: {{ raw: rt/post/out }}, outputs: [out] }}\n  \
             - {{ id: post, python: q.py, inputs: {{ t: dora/timer/secs/1 }}, outputs: [out] }}\n- id: sink\n  path: s\n  inputs: {{ i: {source} }}\n"
        )
    };
    let loaded = good(&flow("rt/pre/out"));
    let node = &loaded.dataflow.nodes[0];
    assert_eq!((node.inputs[0].id.as_str(), node.outputs[1].id.as_str()), ("post/t", "post/out"));
    assert_eq!(loaded.dataflow.nodes[1].inputs[0].source, Source::Output { node: 0, output: 0 });
    assert_eq!(loaded.fatal().count(), 0);
    refused(&[
        (&flow("rt/out"), &["output `out` does not exist on node `rt`", "write `rt/<operator>/<output>`"]),
        ("nodes:\n- id: a\n  operators: [{python: x}]\n", &["needs an `id`"]),
        ("nodes:\n- id: a\n  operators: []\n", &["`operators` is empty"]),
        (
            "nodes:\n- id: a\n  operators: [{id: o, python: x}, {id: o, python: y}]\n",
            &["two operators are named"],
        ),
        ("nodes:\n- id: a\n  operator: {}\n", &["exactly one of `python`"]),
        ("nodes:\n- id: a\n  operator: {wasm: x}\n", &["reserved"]),
        (
            "nodes:\n- id: a\n  operators: [{id: o, python: x, min_log_level: info}, {id: p, python: y, min_log_level: info}]\n",
            &["only one operator"],
        ),
    ]);
    let single = good(
        "nodes:\n- id: a\n  operator: { python: x, outputs: [o] }\n- id: b\n  path: x\n  inputs: {i: a/o}\n",
    );
    assert_eq!(single.dataflow.nodes[0].outputs[0].id.as_str(), "o");
}

#[test]
fn ros2_blocks_have_one_form_and_the_ports_it_needs() {
    let block =
        |lines: &str| format!("nodes:\n- id: a\n  ros2: {lines}\n  inputs: {{ i: a/o }}\n  outputs: [o]\n");
    good(&block("{ topic: /a/b, message_type: sensor_msgs/Image, qos: { keep_last: 5 } }"));
    good(&block(
        "{ service: /add, service_type: x/Add, role: server, transport: { kind: zenoh, compatibility: humble } }",
    ));
    refused(&[
        (&block("{ topic: /a, action: /b }"), &["exactly one of `topic`, `topics`"]),
        (&block("{ topic: /a//b, message_type: a/B }"), &["`/a//b` is not a ROS 2 name"]),
        (&block("{ topic: /1a, message_type: a/B }"), &["is not a ROS 2 name"]),
        (&block("{ topic: /a, message_type: Image }"), &["expected `package/Type`"]),
        (&block("{ topic: /a }"), &["`topic` needs `message_type`"]),
        (&block("{ service: /a, service_type: a/B }"), &["needs `role: client`"]),
        (&block("{ topics: [] }"), &["expected 1 to 64 topics"]),
        (&block("{ topic: /a, message_type: a/B, qos: { keep_last: 0 } }"), &["from 1 to 10000"]),
        (
            &block("{ topic: /a, message_type: a/B, transport: { kind: dds, config_uri: x } }"),
            &["`kind: zenoh`"],
        ),
        ("nodes:\n- id: a\n  ros2: { topic: /a, message_type: a/B }\n", &["at least one of `outputs`"]),
        (
            "nodes:\n- id: a\n  ros2: { action: /a, action_type: a/B, role: client }\n  outputs: [o]\n",
            &["at least one of `inputs`"],
        ),
    ]);
}

#[test]
fn what_comes_later_is_listed_and_fatal_only_where_nothing_could_run() {
    let fields = |text: &str| -> Vec<(String, bool)> {
        good(text).not_yet.into_iter().map(|entry| (entry.field, entry.fatal)).collect()
    };
    let entry = |field: &str, fatal: bool| (field.to_owned(), fatal);
    for (text, field, fatal) in [
        ("nodes:\n- id: a\n  hub: p\n", "hub", true),
        (&node("deploy: { machine: A }"), "deploy", false),
        (&node("shared_memory_pool_size: 128MB"), "shared_memory_pool_size", false),
        (&node("outputs: [a]\noutput_framing: { a: arrow-ipc }"), "output_framing", false),
        ("nodes: []\n_unstable_debug: { publish_all_messages_to_zenoh: true }\n", "_unstable_debug", false),
        ("nodes: []\n_unstable_deploy: { labels: { gpu: 'true' } }\n", "_unstable_deploy", false),
    ] {
        assert_eq!(fields(text), [entry(field, fatal)], "{text}");
    }
    let implemented = node(
        "restart_policy: never\nhealth_check_timeout: 3\nstartup_timeout: 500ms\nmin_log_level: info\n\
         max_log_size: 1KB\nmax_rotated_files: 2\ncpu_affinity: [0, 1]\nrt: { wait: park }\ndescription: d\n\
         outputs: [a, b]\nsend_stdout_as: a\nsend_logs_as: b\ninputs: { l: dora/logs/error }\n\
         pattern: service-server\noutput_types: { a: std/core/v1/String }",
    );
    assert_eq!(fields(&implemented), []);
}

#[test]
fn settings_reach_the_resolved_dataflow() {
    let text = format!(
        "exit_when_nodes_finish: true\nhealth_check_interval: 2.5\ndebug: {{ enable_debug_inspection: true }}\n{}",
        node(
            "cpu_affinity: [3]\nhealth_check_timeout: 3\nmax_log_size: 50MB\nmax_restarts: 4\nrestart_policy: always"
        )
    );
    let loaded = good(&text);
    assert_eq!(loaded.health_check_interval, Duration::from_millis(2500));
    assert!(loaded.dataflow.exit_when_nodes_finish && loaded.dataflow.debug_inspection);
    let node = &loaded.dataflow.nodes[0];
    assert_eq!(
        (node.cpu_affinity.as_slice(), node.log.max_size, node.log.max_rotated),
        (&[3][..], Some(50 << 20), 5)
    );
    assert_eq!((node.health_check_timeout, node.restart.max_restarts), (Some(Duration::from_secs(3)), 4));
    assert_eq!(loaded.dataflow.working_dir, Path::new("/work dir"));
    assert_eq!(loaded.dataflow.descriptor["nodes"][0]["id"], "n");
}

#[test]
fn blocks_of_version_0_are_mapped_or_refused() {
    let text = "communication: { _unstable_local: tcp }\nnodes:\n- id: a\n  custom:\n    source: prog\n    \
                args: a b\n    envs: { A: x }\n    inputs: { i: a/o }\n    outputs: [o]\n";
    let loaded = good(text);
    let node = &loaded.dataflow.nodes[0];
    assert_eq!(node.kind, NodeKind::Executable { path: "prog".into(), args: vec!["a".into(), "b".into()] });
    assert_eq!((node.inputs.len(), node.outputs.len(), node.env.len()), (1, 1, 1));
    warned(text, "has no effect any more");
    warned(text, "deprecated");
    refused(&[("nodes:\n- id: a\n  custom: { args: x }\n", &["no `path` (or `source`) to start"])]);
}

#[test]
fn a_file_is_read_with_its_directory_and_bad_bytes_have_a_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("robot.yml");
    std::fs::write(&file, "nodes: []\n").unwrap();
    let loaded = dora_descriptor::load(&file, &[]).unwrap();
    assert_eq!((loaded.dataflow.name.as_str(), loaded.dataflow.working_dir.as_path()), ("robot", dir.path()));
    std::fs::write(&file, b"nodes: []\n# \xC3\xA9\xFF\n").unwrap();
    let error = dora_descriptor::load(&file, &[]).unwrap_err().to_string();
    assert!(error.contains("robot.yml:2:4: the file is not UTF-8"), "{error}");
    for path in [dir.path().join("absent.yml"), dir.path().to_owned()] {
        let error = dora_descriptor::load(&path, &[]).unwrap_err().to_string();
        assert!(error.contains("cannot be read"), "{error}");
    }
}
