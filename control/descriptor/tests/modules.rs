//! Modules: what a file becomes, and what a user must read about one that is wrong.
//!
//! A case is one text with several files: `=== name` begins one. `dataflow.yml` is loaded.

use std::path::Path;

use dora_descriptor::{Errors, Loaded, check_module, load};
use dora_protocol::dataflow::NodeKind;
use tempfile::TempDir;

/// The files of a case in a folder of their own.
fn files(text: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for part in text.split("=== ").skip(1) {
        let (name, body) = part.split_once('\n').unwrap();
        let path = dir.path().join(name.trim());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, body).unwrap();
    }
    dir
}

fn load_in(dir: &Path) -> Result<Loaded, Errors> {
    load(&dir.join("dataflow.yml"), &[])
}

/// Messages without the folder that the test happens to have.
fn texts(dir: &Path, result: Result<Loaded, Errors>) -> String {
    let text = match result {
        Err(errors) => errors.to_string(),
        Ok(loaded) => {
            let all = loaded.warnings.iter().chain(&loaded.type_warnings);
            all.map(ToString::to_string).collect::<Vec<_>>().join("\n")
        }
    };
    let folder = format!("{}/", dir.display());
    text.replace(&folder, "")
}

fn good(text: &str) -> Loaded {
    let dir = files(text);
    load_in(dir.path()).unwrap_or_else(|errors| panic!("must be accepted:\n{text}\n{errors}"))
}

/// The case is refused, and each part is in the message.
fn refused(text: &str, parts: &[&str]) {
    let dir = files(text);
    let result = load_in(dir.path());
    assert!(result.is_err(), "must be refused:\n{text}");
    let message = texts(dir.path(), result);
    for part in parts {
        assert!(message.contains(part), "{text}\nsays\n{message}\nwithout\n{part}");
    }
}

/// A descriptor with a source, module `m` with these keys, and nodes that follow.
fn with_module(keys: &str, more: &str) -> String {
    format!(
        "=== dataflow.yml\nnodes:\n  - id: src\n    path: src.py\n    outputs: [a, b]\n  - id: m\n    \
         module: mods/m.yml\n    {keys}\n{more}"
    )
}

/// A module file with this header and these nodes.
fn module(header: &str, nodes: &str) -> String {
    format!("=== mods/m.yml\nmodule: {{ name: m, {header} }}\nnodes:\n{nodes}")
}

const DOUBLER: &str =
    "  - id: doubler\n    path: doubler.py\n    inputs: { value: _mod/value }\n    outputs: [doubled]\n";

#[test]
fn a_module_becomes_its_nodes_with_names_paths_and_sources_of_the_dataflow() {
    let text = with_module(
        "inputs: { value: src/a }",
        "  - id: sink\n    path: sink.py\n    inputs: { v: m/doubled }\n",
    ) + &module("inputs: [value], outputs: [doubled]", DOUBLER);
    let expected = "\
nodes:
  - id: src
    path: src.py
    outputs:
      - a
      - b
  - id: m.doubler
    path: mods/doubler.py
    inputs:
      value: src/a
    outputs:
      - doubled
  - id: sink
    path: sink.py
    inputs:
      v: m.doubler/doubled
";
    assert_eq!(good(&text).flat_yaml(), expected);
}

#[test]
fn nested_modules_pass_ports_parameters_environment_builds_and_machines_on() {
    let loaded = good(
        "=== dataflow.yml
nodes:
  - id: src
    path: src.py
    outputs: [a]
  - id: outer
    module: mods/outer.yml
    inputs: { in: { source: src/a, queue_size: 3, queue_policy: backpressure } }
    params: { speed: \"2\", mode: turbo }
    env: { WHO: root, SHARED: root }
    build: make root
    deploy: { machine: A, labels: { gpu: \"true\" } }
  - id: sink
    path: sink.py
    inputs: { v: outer/out }
=== mods/outer.yml
module: { name: outer, inputs: [in], outputs: [out] }
build: make outer
nodes:
  - id: inner
    module: deep/inner.yml
    inputs: { in: { source: _mod/in, queue_size: 5 } }
    params: { rate: \"${_param.speed}0\" }
    env: { WHO: outer }
=== mods/deep/inner.yml
module: { name: inner, inputs: [in], inputs_optional: [never], outputs: [out] }
nodes:
  - id: worker
    path: ./worker.py
    args: --rate $PARAM_RATE
    build: make worker
    inputs:
      in: { source: _mod/in, input_timeout: 2 }
      never: _mod/never
      tick: dora/timer/hz/$PARAM_RATE
      logs: dora/logs/info/other
    input_types: { never: std/core/v1/Bool }
    outputs: [out]
    env: { OWN: \"x$PARAM_RATE\" }
    deploy: { machine: B }
  - id: other
    path: python
    inputs: { w: worker/out }
",
    );
    let expected = "\
nodes:
  - id: src
    path: src.py
    outputs:
      - a
  - id: outer.inner.worker
    path: mods/deep/worker.py
    args: \"--rate 20\"
    build: |-
      make root
      env -C mods make outer
      env -C mods/deep make worker
    inputs:
      in:
        source: src/a
        input_timeout: 2
        queue_size: 5
        queue_policy: backpressure
      tick: dora/timer/hz/20
      logs: dora/logs/info/outer.inner.other
    input_types: {}
    outputs:
      - out
    env:
      OWN: x20
      PARAM_RATE: \"20\"
      WHO: outer
      SHARED: root
    deploy:
      machine: B
      labels:
        gpu: \"true\"
";
    let flat = loaded.flat_yaml();
    assert!(flat.starts_with(&expected.replace("    input_types: {}\n", "")), "{flat}");
    assert!(flat.contains("v: outer.inner.worker/out"), "{flat}");
    assert!(flat.contains("path: python\n"), "a command is looked for in PATH: {flat}");
}

/// Everything that modules can have, in one dataflow.
const RICH: &str = "=== dataflow.yml
strict_types: true
chains: [{ from: m/doubled, to: sink/v, within: 2ms }]
nodes:
  - { id: src, path: src.py, outputs: [a, b], output_types: { a: own/x/v1/Local, b: std/core/v1/Float32 } }
  - id: m
    module: mods/m.yml
    inputs: { value: src/a, other: { source: src/b, queue_size: 2 } }
    params: { n: 7, text: 'a \"b\": #c' }
    env: { A: '1.10', B: 1.10, C: { __dora_env: HOST }, D: yes, E: '~' }
  - { id: again, module: mods/m.yml, inputs: { value: src/a }, params: { n: 1, text: '' } }
  - { id: sink, path: sink.py, inputs: { v: m/doubled, w: again/doubled } }
=== mods/m.yml
module:
  name: m
  inputs: [value]
  inputs_optional: [other]
  outputs: [doubled]
  input_types: { value: own/x/v1/Local, other: std/core/v1/Float64 }
  output_types: { doubled: std/core/v1/Bytes }
nodes:
  - id: pre
    path: pre.py
    args: \"$PARAM_TEXT\"
    inputs: { value: { source: _mod/value, queue_size: $PARAM_N }, other: _mod/other }
    outputs: [half]
    cpu_affinity: []
    rt: {}
  - id: run
    path: run.py
    build: |
      make one
      make two
    inputs: { half: pre/half, own: run/doubled }
    outputs: [doubled]
=== mods/types/own/x/v1.yml
types: { Local: { arrow: Struct, fields: [{ name: x, type: Float64 }] } }
";

#[test]
fn the_flat_file_means_the_same_as_the_one_with_modules() {
    let navigation = include_str!("modules/navigation.module.yml");
    let full = include_str!("full.yml");
    let full = format!("=== dataflow.yml\n{full}=== modules/navigation.module.yml\n{navigation}");
    for text in [RICH, &full] {
        means_the_same_when_flat(text);
    }
}

fn means_the_same_when_flat(text: &str) {
    let dir = files(text);
    let load_again = |text: &str| {
        std::fs::write(dir.path().join("flat.yml"), text).unwrap();
        load(&dir.path().join("flat.yml"), &[]).unwrap_or_else(|errors| panic!("{text}\n{errors}"))
    };
    let before = load_in(dir.path()).unwrap_or_else(|errors| panic!("{errors}"));
    let flat = before.flat_yaml();
    let after = load_again(&flat);
    assert_eq!(after.flat_yaml(), flat, "what is flat stays as it is");
    let meaning = |loaded: &Loaded| {
        let mut dataflow = loaded.dataflow.clone();
        dataflow.name.clear();
        for node in &mut dataflow.nodes {
            node.at = Default::default();
            node.inputs.iter_mut().for_each(|input| input.at = Default::default());
            node.outputs.iter_mut().for_each(|output| output.at = Default::default());
            if let NodeKind::Runtime { operators } = &mut node.kind {
                operators.iter_mut().for_each(|operator| operator.at = Default::default());
            }
        }
        let mut json = serde_json::to_value(&dataflow).unwrap();
        // Fields that say nothing are not in the flat file.
        json.as_object_mut().unwrap().remove("descriptor");
        json
    };
    assert_eq!(meaning(&after), meaning(&before), "{flat}");
    assert_eq!(before.dataflow.descriptor["types"], after.dataflow.descriptor["types"]);
    assert_eq!(before.inferred_types, after.inferred_types);
}

#[test]
fn names_are_bound_in_their_own_file() {
    let sink = |source: &str| format!("  - id: sink\n    path: x\n    inputs: {{ v: {source} }}\n");
    let file = module("inputs: [value], outputs: [doubled]", DOUBLER);
    let keys = "inputs: { value: src/a }";
    for (source, parts) in [
        (
            "m.doubler/doubled",
            &["dataflow.yml:10:18", "`m.doubler` is inside of module `m`", "`m/doubled`"][..],
        ),
        ("m/double", &["module `m` has no output `double`", "did you mean `doubled`?"]),
        ("dora/logs/info/m", &["`m` is a module, and only nodes have logs", "`m.doubler`"]),
        ("_mod/value", &["this file is not one"]),
        ("n/doubled", &["source node `n` does not exist"]),
    ] {
        refused(&(with_module(keys, &sink(source)) + &file), parts);
    }
    let inside = |source: &str| {
        let nodes = format!("{DOUBLER}  - id: x\n    path: x\n    inputs: {{ v: {source} }}\n");
        with_module(keys, "") + &module("inputs: [value], outputs: [doubled]", &nodes)
    };
    for (source, parts) in [
        ("src/a", &["mods/m.yml:9:18: node `m.x`: v: source node `m.src` does not exist"][..]),
        ("doubler/double", &["mods/m.yml:9:18", "did you mean `doubled`?"]),
        (
            "_mod/valu",
            &["mods/m.yml:9:18: node `x`: v: the module has no input `valu`", "did you mean `value`?"],
        ),
    ] {
        refused(&inside(source), parts);
    }
}

#[test]
fn ports_are_wired_and_outputs_have_one_producer() {
    let file = module("inputs: [value], outputs: [doubled]", DOUBLER);
    refused(
        &(with_module("params: {}", "") + &file),
        &["dataflow.yml:5:5: node `m`: inputs: input `value` of the module is not wired", "mods/m.yml:1:29"],
    );
    refused(
        &(with_module("inputs: { value: src/a, vlue: src/b }", "") + &file),
        &["dataflow.yml:7:29: node `m`: inputs: the module has no input `vlue`", "did you mean `value`?"],
    );
    let keys = with_module("inputs: { value: src/a }", "");
    refused(
        &(keys.clone() + &module("inputs: [value], outputs: [dubled]", DOUBLER)),
        &["mods/m.yml:1:47", "no node of the module has an output `dubled`", "did you mean `doubled`?"],
    );
    let twice = format!("{DOUBLER}  - {{ id: two, path: x, outputs: [doubled] }}\n");
    refused(
        &(keys + &module("inputs: [value], outputs: [doubled]", &twice)),
        &["2 nodes have an output `doubled`: `doubler/doubled`, `two/doubled`"],
    );
    let operators = "  - id: rt\n    operators:\n      - { id: op, python: { source: op.py, conda_env: ./env }, inputs: { v: _mod/value }, outputs: [cmd] }\n";
    let text = with_module("inputs: { value: src/a }", "  - id: s\n    path: x\n    inputs: { v: m/cmd }\n")
        + &module("inputs: [value], outputs: [cmd]", operators);
    let flat = good(&text).flat_yaml();
    let written = ["v: m.rt/op/cmd", "source: mods/op.py", "conda_env: mods/env"];
    assert!(written.iter().all(|part| flat.contains(part)), "{flat}");
}

#[test]
fn an_optional_port_that_is_not_wired_takes_the_input_with_it() {
    let nodes = "  - id: n\n    path: x\n    inputs: { v: _mod/v, w: _mod/w }\n";
    let text = with_module("inputs: { v: src/a }", "") + &module("inputs: [v], inputs_optional: [w]", nodes);
    let inputs = &good(&text).dataflow.nodes[1].inputs;
    assert_eq!(inputs.iter().map(|input| input.id.as_str()).collect::<Vec<_>>(), ["v"]);
    refused(
        &(with_module("inputs: { v: src/a }", "")
            + &module(
                "inputs: [v], inputs_optional: [w]",
                "  - { id: x, module: in.yml, inputs: { p: _mod/w } }\n  - { id: y, path: y, inputs: { v: _mod/v } }\n",
            )
            + "=== mods/in.yml\nmodule: { name: in, inputs: [p] }\nnodes: [{ id: z, path: z, inputs: { p: _mod/p } }]\n"),
        &["mods/m.yml:3:43", "`_mod/w` may be absent", "required"],
    );
}

#[test]
fn parameters_must_be_there_and_are_read_as_what_they_stand_for() {
    let node = |line: &str| {
        let nodes = format!(
            "  - id: n\n    path: x\n    inputs: {{ v: {{ source: _mod/v, queue_size: $PARAM_SIZE }} }}\n    {line}\n"
        );
        module("inputs: [v]", &nodes)
    };
    let keys = |params: &str| with_module(&format!("inputs: {{ v: src/a }}\n    params: {{ {params} }}"), "");
    let loaded = good(&(keys("size: 7") + &node("name: $PARAM_OF_PEOPLE")));
    assert_eq!(loaded.dataflow.nodes[1].inputs[0].queue_size, 7);
    for (params, line, parts) in [
        ("size: many", "", &["mods/m.yml:5:48", "queue_size: `many`: expected an integer"][..]),
        (
            "size: 7",
            "args: $PARAM_SIZ",
            &["mods/m.yml:6:11: node `m.n`: parameter `siz` is not set", "did you mean `size`?"],
        ),
        ("siz: 7", "", &["parameter `size` is not set", "the module node gives `siz`"]),
        ("size: 7, SIZE: 8", "", &["two names for `$PARAM_SIZE`"]),
        ("size-x: 7, size: 1", "", &["only letters, digits and `_`"]),
    ] {
        refused(&(keys(params) + &node(line)), parts);
    }
}

const PARAMS: &str =
    "inputs: [v], params: [{ name: size, default: 7 }, { name: gain, description: How much }]";

#[test]
fn parameters_that_a_module_lists_have_defaults_and_there_are_no_others() {
    let nodes = "  - id: n\n    path: x\n    args: --gain $PARAM_GAIN\n    inputs: { v: { source: _mod/v, queue_size: \"${_param.size}\" } }\n";
    let keys = |params: &str| with_module(&format!("inputs: {{ v: src/a }}\n    {params}"), "");
    for (params, size) in [("params: { gain: 2 }", 7), ("params: { gain: 2, SIZE: 9 }", 9)] {
        let loaded = good(&(keys(params) + &module(PARAMS, nodes)));
        let node = &loaded.dataflow.nodes[1];
        assert_eq!(node.inputs[0].queue_size, size);
        let variable = node.env.get("PARAM_SIZE").map(|value| format!("{value:?}"));
        assert_eq!(variable, Some(format!("Text({:?})", size.to_string())), "the default is a variable, too");
    }
    for (params, header, nodes, parts) in [
        (
            "params: {}",
            PARAMS,
            nodes,
            &[
                "dataflow.yml:8:5: node `m`: params: parameter `gain` of the module is not given",
                "mods/m.yml:1:78",
            ][..],
        ),
        ("name: x", PARAMS, nodes, &["dataflow.yml:5:5: node `m`: params: parameter `gain`"]),
        (
            "params: { gain: 2, siz: 3 }",
            PARAMS,
            nodes,
            &[
                "dataflow.yml:8:24: node `m`: params: the module has no parameter `siz`",
                "did you mean `size`?",
            ],
        ),
        (
            "params: { gain: 2 }",
            PARAMS,
            "  - { id: n, path: x, args: $PARAM_GAINS, inputs: { v: _mod/v } }\n",
            &[
                "mods/m.yml:3:29: node `m.n`: `gains` is not among the parameters of the module",
                "did you mean `gain`?",
            ],
        ),
        (
            "params: { a: 2 }",
            "inputs: [v], params: []",
            nodes,
            &["the module has no parameter `a`", "it declares no parameters"],
        ),
        (
            "name: x",
            "inputs: [v], params: [{ name: a-b, default: 1 }, { name: c, default: 1 }, { name: C, default: 1 }, { defaul: 1 }]",
            nodes,
            &[
                "module.params: `a-b`: only letters, digits and `_`",
                "module.params: two names for `$PARAM_C`",
                "a parameter of a module needs `name`",
                "did you mean `default`?",
            ],
        ),
    ] {
        refused(&(keys(params) + &module(header, nodes)), parts);
    }
}

#[test]
fn modules_that_cannot_be_used_say_why() {
    let at = |path: &str, more: &str| format!("=== dataflow.yml\nnodes:\n- id: m\n  module: {path}\n{more}");
    for (text, parts) in [
        (
            at("no.yml", ""),
            &["dataflow.yml:3:11: node `m`: module: `no.yml` cannot be read: No such file"][..],
        ),
        (at("/etc/passwd", ""), &["`/etc/passwd` is an absolute path"]),
        (at("../../../../../../etc/passwd", ""), &["outside of the folder of the dataflow"]),
        (at("''", ""), &["module: must not be empty"]),
        (at("dataflow.yml", ""), &["`dataflow.yml` is no module: it has no `module` header"]),
        (at("m.yml", "=== m.yml\n{"), &["m.yml:2:1: not valid YAML"]),
        (
            at("m.yml", "=== m.yml\nmodule: { name: m, in: [] }\nnodes: []\nfoo: 1\n"),
            &["m.yml:1:20: module: unknown key `in`", "m.yml:3:1: unknown key `foo`"],
        ),
        (
            at("m.yml", "=== m.yml\nmodule: { inputs: [a, a, b/c, 'x y'] }\nnodes: []\n"),
            &["a module header needs `name`", "`a` is listed twice", "`b/c`: a port has no `/`", "x y"],
        ),
        (
            at("m.yml", "=== m.yml\nmodule: { name: m, input_types: { a: std/core/v1/Bool } }\nnodes: []\n"),
            &["`a` is not among the inputs of the module"],
        ),
        (
            at("m.yml\n  outputs: [o]\n  args: x", "=== m.yml\nmodule: { name: m }\nnodes: []\n"),
            &["declared in the module file", "a module node cannot have `args`"],
        ),
        (
            at("m.yml\n- id: m\n  path: x", "=== m.yml\nmodule: { name: m }\nnodes: []\n"),
            &["dataflow.yml:4:7: node `m`: id: the id is taken: line 2"],
        ),
        (
            at(
                "m.yml\n- id: m.n\n  path: x",
                "=== m.yml\nmodule: { name: m }\nnodes: [{ id: n, path: x }]\n",
            ),
            &["the id is taken: there is a node of that name at"],
        ),
        (
            at(
                "m.yml",
                "=== m.yml\nmodule: { name: m }\nnodes: [{ id: n, path: x, quue: 1 }, { id: n, path: y }]\n",
            ),
            &[
                "m.yml:2:27: node `n`: unknown key `quue`",
                "m.yml:2:44: node `m.n`: id: the id is taken: line 2",
            ],
        ),
        (
            at(
                "a.yml",
                "=== a.yml\nmodule: { name: a }\nnodes: [{ id: b, module: b.yml }]\n=== b.yml\nmodule: { name: b }\nnodes: [{ id: a, module: a.yml }]\n",
            ),
            &["b.yml:2:26: node `m.b.a`: module: the modules contain each other: a.yml → b.yml → a.yml"],
        ),
    ] {
        refused(&text, parts);
    }
}

#[test]
fn a_link_does_not_lead_out_of_the_folder() {
    let outside = files("=== m.yml\nmodule: { name: m }\nnodes: []\n");
    let dir = files("=== dataflow.yml\nnodes: [{ id: m, module: link/m.yml }]\n");
    std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
    let errors = load_in(dir.path()).map(drop).unwrap_err().to_string();
    assert!(errors.contains("`link/m.yml` is outside of the folder of the dataflow"), "{errors}");
}

#[test]
fn a_bomb_of_nested_modules_is_refused_before_it_grows() {
    let list =
        |n: usize, node: &str| (0..n).map(|i| format!("- {{ id: n{i}, {node} }}\n")).collect::<String>();
    let mut text = format!("=== dataflow.yml\nnodes:\n{}", list(40, "module: m0.yml"));
    for level in 0..7 {
        let next = list(40, &format!("module: m{}.yml", level + 1));
        text += &format!("=== m{level}.yml\nmodule: {{ name: m }}\nnodes:\n{next}");
    }
    text += &format!("=== m7.yml\nmodule: {{ name: m }}\nnodes:\n{}", list(40, "path: x"));
    refused(&text, &["the modules blow this dataflow up to more than 10000 nodes"]);
    let deep: String = (0..9)
        .map(|level| {
            format!(
                "=== m{level}.yml\nmodule: {{ name: m }}\nnodes: [{{ id: n, module: m{}.yml }}]\n",
                level + 1
            )
        })
        .collect();
    refused(
        &format!("=== dataflow.yml\nnodes: [{{ id: n, module: m0.yml }}]\n{deep}"),
        &["modules nested deeper than 8: m0.yml → m1.yml"],
    );
    let long = "$PARAM_A".repeat(1000);
    let grow: String = (0..7)
        .map(|level| format!("=== m{level}.yml\nmodule: {{ name: m }}\nnodes: [{{ id: n, module: m{}.yml, params: {{ a: \"{long}\" }} }}]\n", level + 1))
        .collect();
    refused(
        &format!(
            "=== dataflow.yml\nnodes: [{{ id: n, module: m0.yml, params: {{ a: xxxxxxxxxx }} }}]\n{grow}"
        ),
        &["more than 65536 bytes once the parameters are put in"],
    );
    let wide = format!("=== m.yml\nmodule: {{ name: m }}\nnodes: []\n#{}", "x".repeat(1 << 20));
    refused(
        &format!("=== dataflow.yml\nnodes: [{{ id: n, module: m.yml }}]\n{wide}"),
        &["m.yml`: has more than 1048576 bytes"],
    );
}

#[test]
fn types_of_a_header_are_compared_on_both_sides() {
    let text = |outside: &str, inside: &str| {
        format!(
            "=== dataflow.yml\nnodes:\n- {{ id: src, path: x, outputs: [a], output_types: {{ a: std/core/v1/{outside} }} }}\n\
             - {{ id: m, module: m.yml, inputs: {{ v: src/a }} }}\n- {{ id: s, path: x, inputs: {{ v: m/o }}, input_types: {{ v: std/core/v1/String }} }}\n\
             === m.yml\nmodule: {{ name: m, inputs: [v], outputs: [o], input_types: {{ v: std/core/v1/Float64 }}, output_types: {{ o: std/core/v1/String }} }}\n\
             nodes: [{{ id: n, path: x, inputs: {{ v: _mod/v }}, outputs: [o]{inside} }}]\n"
        )
    };
    let warnings = |outside: &str, inside: &str| {
        let dir = files(&text(outside, inside));
        texts(dir.path(), load_in(dir.path()))
    };
    assert_eq!(warnings("Float32", ""), "");
    let bool_in = warnings("Bool", "");
    assert!(bool_in.contains("node `m.n`: type mismatch on input \"v\": upstream src/a declares \"std/core/v1/Bool\", but expected \"std/core/v1/Float64\""), "{bool_in}");
    assert_eq!(bool_in.matches("mismatch").count(), 1, "{bool_in}");
    let own = warnings("Bool", ", input_types: { v: std/core/v1/Bytes }");
    assert!(
        own.contains("m.yml:1:") && own.contains("node `m`: type mismatch on input \"v\": src/a declares"),
        "{own}"
    );
    let narrow = warnings("Float64", ", input_types: { v: std/core/v1/Float32 }");
    assert!(narrow.contains("node `m.n`: type mismatch on input \"v\": it declares \"std/core/v1/Float64\", but expected \"std/core/v1/Float32\""), "{narrow}");
    let out = warnings("Float64", ", output_types: { o: std/core/v1/Bool }");
    assert!(out.contains("type mismatch on output \"o\": it declares \"std/core/v1/Bool\", but expected \"std/core/v1/String\""), "{out}");
}

#[test]
fn a_module_is_checked_by_itself_whatever_its_parameters_are() {
    let dir = files(RICH);
    let summary = check_module(&dir.path().join("mods/m.yml")).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!((summary.name.as_str(), summary.nodes), ("m", 2));
    assert_eq!(
        (summary.inputs, summary.optional_inputs),
        (vec!["value".to_owned()], vec!["other".to_owned()])
    );
    assert_eq!(summary.outputs, ["doubled"]);
    for (file, parts) in [
        (
            module(
                "inputs: [v], outputs: [o]",
                "  - { id: n, path: x, inputs: { w: _mod/w }, args: $PARAM_X }\n",
            ),
            &["the module has no input `w`", "no node of the module has an output `o`"][..],
        ),
        (
            module("inputs: []", "  - { id: n, path: x, inputs: { w: x/y } }\n"),
            &["source node `module.x` does not exist"],
        ),
        (module("inputs: []", "  - { id: n, module: n.yml }\n"), &["mods/n.yml` cannot be read"]),
        (
            module(PARAMS, "  - { id: n, path: x, args: $PARAM_GAIN $PARAM_SIZES, inputs: { v: _mod/v } }\n"),
            &[
                "mods/m.yml:3:29: node `module.n`: `sizes` is not among the parameters",
                "did you mean `size`?",
            ],
        ),
        ("=== mods/m.yml\nnodes: []\n".to_owned(), &["has no `module` header"]),
    ] {
        let dir = files(&file);
        let errors = check_module(&dir.path().join("mods/m.yml")).unwrap_err().to_string();
        for part in parts {
            assert!(errors.contains(part), "{file}\nsays\n{errors}\nwithout\n{part}");
        }
    }
}

#[test]
fn a_repository_of_a_module_is_built_by_its_own_lines() {
    let nodes = "  - { id: n, path: run, git: \"https://example.com/x\", build: make, inputs: { v: _mod/v } }\n  \
                 - { id: o, path: o.py, inputs: { v: _mod/v } }\n";
    let text = with_module("inputs: { v: src/a }\n    build: make m", "") + &module("inputs: [v]", nodes);
    let dir = files(&text);
    let loaded = load_in(dir.path()).unwrap();
    let flat = loaded.flat_yaml();
    assert!(flat.contains("path: run\n") && flat.contains("build: make\n"), "{flat}");
    assert!(flat.contains("build: \"make m\"") || flat.contains("build: make m\n"), "{flat}");
    let warnings = texts(dir.path(), Ok(loaded));
    assert!(warnings.contains("node `m.n`: build: is not run before the build of this node"), "{warnings}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    #[test]
    fn a_damaged_module_is_answered(
        file in 0usize..3, at in 0usize..900, length in 0usize..30, with in "[ -~\\n]{0,6}"
    ) {
        let parts: Vec<&str> = RICH.split_inclusive("=== ").collect();
        let damaged: String = parts.iter().enumerate().map(|(number, part)| {
            if number != file + 1 {
                return (*part).to_owned();
            }
            let head = part.find('\n').unwrap_or(0) + 1;
            let start = part.floor_char_boundary((head + at).min(part.len()));
            let end = part.floor_char_boundary((start + length).min(part.len()));
            format!("{}{with}{}", &part[..start], &part[end..])
        }).collect();
        // Damage may break a mark between files, too.
        let whole = damaged.split("=== ").skip(1).all(|part| {
            part.split_once('\n').is_some_and(|(name, _)| {
                ["dataflow.yml", "mods/m.yml", "mods/types/own/x/v1.yml"].contains(&name.trim())
            })
        });
        proptest::prop_assume!(whole && damaged.contains("=== dataflow.yml"));
        let dir = files(&damaged);
        match load_in(dir.path()) {
            Ok(loaded) => drop(loaded.flat_yaml()),
            Err(errors) => proptest::prop_assert!(!errors.0.is_empty()),
        }
    }
}

#[test]
fn a_chain_may_end_at_ports_of_modules_and_inside_of_them() {
    let text = |from: &str, to: &str| {
        with_module("inputs: { v: src/a }", "  - { id: s, path: x, inputs: { v: m/o } }\n")
            + &format!("chains: [{{ from: {from}, to: {to}, within: 1ms }}]\n")
            + &module(
                "inputs: [v], outputs: [o]",
                "  - { id: n, path: x, inputs: { i: _mod/v }, outputs: [o] }\n",
            )
    };
    for (from, to) in
        [("src/a", "m/v"), ("src/a", "m.n/i"), ("m/o", "s/v"), ("m.n/o", "s/v"), ("src/a", "s/v")]
    {
        assert_eq!(good(&text(from, to)).dataflow.chains.len(), 1, "{from} to {to}");
    }
    for (from, to, part) in [
        ("m/x", "s/v", "chains: module `m` has no output `x`"),
        ("src/a", "m/x", "chains: nothing in module `m` reads an input `x`"),
    ] {
        refused(&text(from, to), &[part]);
    }
}

#[test]
fn what_is_copied_to_every_node_has_bounds() {
    let many = |n: usize, each: &dyn Fn(usize) -> String| (0..n).map(each).collect::<String>();
    let nodes = many(5000, &|n| format!("  - {{ id: n{n}, path: x }}\n"));
    let long = "x".repeat(100_000);
    let inputs = many(5000, &|n| format!("i{n}: _mod/v, "));
    let scalars = many(5000, &|n| format!("e{n}: $PARAM_A, "));
    let variables = many(50_000, &|n| format!("E{n}: x, "));
    let one = |lines: &str| format!("  - {{ id: n, path: x, {lines} }}\n");
    let wired = "inputs: { v: src/a }";
    for (keys, file, part) in [
        (
            format!("{wired}\n    env: {{ {variables} }}"),
            module("inputs_optional: [v]", &nodes),
            "blows this dataflow up",
        ),
        (
            format!("{wired}\n    params: {{ a: {long} }}"),
            module("inputs_optional: [v]", &nodes),
            "blows this dataflow up",
        ),
        (
            wired.to_owned(),
            module(
                &format!("inputs: [v], input_types: {{ v: {long} }}"),
                &one(&format!("inputs: {{ {inputs} }}")),
            ),
            "blows this dataflow up",
        ),
        (
            format!("inputs: {{ v: {long}/a }}"),
            module("inputs: [v]", &one(&format!("inputs: {{ {inputs} }}"))),
            "blows this dataflow up",
        ),
        (
            format!("{wired}\n    params: {{ a: {} }}", "x".repeat(60_000)),
            module("inputs_optional: [v]", &one(&format!("env: {{ {scalars} }}"))),
            "the parameters blow this module up to more than 16777216 bytes",
        ),
    ] {
        let dir = files(&(with_module(&keys, "") + &file));
        let errors = load_in(dir.path()).map(drop).expect_err(part).to_string();
        assert!(errors.contains(part), "{part}: {}", errors.chars().take(2000).collect::<String>());
    }
}
