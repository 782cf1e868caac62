//! The nodes of all modules in one list: names with a prefix, sources that lead out of the module replaced.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{
    PortType, TypeOf,
    header::inputs_of,
    load::{Entry, Scope},
    paths,
    sources::Sources,
};
use crate::{
    error::{About, At, Pos, Report},
    limits, raw,
    schema::INPUT,
    values,
    yaml::{self, Value, Yaml},
};

/// What an input of a module is wired to.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    /// As the flat file says them; never empty.
    sources: Vec<At<String>>,
    /// The long form's other keys.
    options: Vec<(At<String>, Yaml)>,
    /// Of each port on the way in: the nearest type that a header declares.
    declared: Vec<Declared>,
}

/// The type of a port.
#[derive(Clone, Debug)]
struct Declared {
    urn: At<String>,
    /// A node took it for its own.
    inherited: Rc<Cell<bool>>,
}

/// What a module node passes on to the nodes inside.
#[derive(Clone, Debug, Default)]
struct Passed {
    env: Vec<(At<String>, Yaml)>,
    build: Vec<At<String>>,
    deploy: Option<(At<String>, Yaml)>,
}

impl Passed {
    /// Values and bytes of text.
    fn size(&self) -> (usize, usize) {
        let entries = self.env.iter().chain(&self.deploy);
        let entries = entries.map(|(key, value)| (yaml::size(value), key.value.len()));
        let lines = self.build.iter().map(|line| (1, line.value.len()));
        let sizes = entries.map(|((values, bytes, _), key)| (values, bytes + key)).chain(lines);
        sizes.fold((0, 0), |(v, b), (v2, b2)| (v + v2, b + b2))
    }
}

/// Collects the flat nodes.
pub(super) struct Flatten<'r> {
    pub(super) base: PathBuf,
    pub(super) report: &'r mut Report,
    pub(super) nodes: Vec<Yaml>,
    pub(super) port_types: Vec<PortType>,
    /// Values and bytes of text so far: what is passed on is copied to every node.
    pub(super) values: usize,
    pub(super) text: usize,
}

impl Flatten<'_> {
    /// Counts what was copied. `false`: there is no room for more, and that was said once.
    fn afford(&mut self, values: usize, text: usize, pos: Pos, name: &str) -> bool {
        if self.is_full() {
            return false;
        }
        self.values += values;
        self.text += text;
        if self.is_full() {
            let message = "what the modules pass on to their nodes blows this dataflow up";
            self.report.error(pos, About { node: Some(name), field: None }, message, &[]);
        }
        !self.is_full()
    }

    /// A bound was exceeded.
    pub(super) fn is_full(&self) -> bool {
        self.values > limits::VALUES || self.text > limits::EXPANDED
    }

    /// The nodes of the descriptor itself and all below.
    pub(super) fn root(&mut self, scope: &Scope) {
        self.scope(scope, &BTreeMap::new(), &Passed::default(), &BTreeMap::new());
    }

    fn scope(
        &mut self,
        scope: &Scope,
        wires: &BTreeMap<String, Wire>,
        passed: &Passed,
        types: &BTreeMap<String, At<String>>,
    ) {
        let sources = Sources::new(scope);
        for entry in &scope.entries {
            if self.is_full() {
                return;
            }
            match entry {
                Entry::Node(node) => self.node(node, scope, &sources, wires, passed, types),
                Entry::Module { node, id, scope: inner } => {
                    self.module(node, id, scope, inner, &sources, wires, passed, types);
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the surroundings of the outer and of the inner file")]
    fn module(
        &mut self,
        node: &Yaml,
        id: &str,
        outer: &Scope,
        inner: &Scope,
        sources: &Sources<'_>,
        wires: &BTreeMap<String, Wire>,
        passed: &Passed,
        types: &BTreeMap<String, At<String>>,
    ) {
        let name = format!("{}{id}", outer.prefix);
        let mut inside = BTreeMap::new();
        for (port, input) in inputs_of(node) {
            let Some(mut wire) = self.wire(port, input, &name, sources, wires) else {
                if inner.header.inputs.iter().any(|required| required.value == port.value) {
                    sources.optional_into_required(port, input, &name, self.report);
                }
                continue;
            };
            let here = inner.header.input_types.get(&port.value);
            if let Some(here) = here {
                for outer in &wire.declared {
                    self.compare(TypeOf::Urn(outer.urn.clone()), here, &name, &port.value, true);
                }
                wire.declared = vec![Declared { urn: here.clone(), inherited: Rc::default() }];
            }
            inside.insert(port.value.clone(), wire);
        }
        let mut outputs = inner.header.output_types.clone();
        for output in inner.outputs.keys() {
            let Some(wanted) = types.get(output) else { continue };
            match inner.header.output_types.get(output) {
                Some(given) => self.compare(TypeOf::Urn(given.clone()), wanted, &name, output, false),
                None => {
                    outputs.insert(output.clone(), wanted.clone());
                }
            }
        }
        let Some(passed) = self.passed(node, outer, inner, passed) else { return };
        self.scope(inner, &inside, &passed, &outputs);
        for (port, wire) in &inside {
            // Where a node inherits the type, the edge itself is compared.
            let Some(declared) = inner.header.input_types.get(port) else { continue };
            if wire.declared.iter().any(|declared| declared.inherited.get()) {
                continue;
            }
            for source in &wire.sources {
                self.compare(TypeOf::Output(source.value.clone()), declared, &name, port, true);
            }
        }
    }

    fn compare(&mut self, from: TypeOf, to: &At<String>, module: &str, port: &str, input: bool) {
        let (module, port) = (module.to_owned(), port.to_owned());
        self.port_types.push(PortType { module, port, input, from, to: to.clone() });
    }

    /// What an input gets in the flat file; `None` when it is not there.
    fn wire(
        &mut self,
        name: &At<String>,
        input: &Yaml,
        node: &str,
        sources: &Sources<'_>,
        wires: &BTreeMap<String, Wire>,
    ) -> Option<Wire> {
        let known = |key: &str| key != "source" && INPUT.key(key).is_some();
        let options = input.map().iter().filter(|(key, _)| known(&key.value)).cloned().collect();
        let mut wire = Wire { sources: Vec::new(), options, declared: Vec::new() };
        for source in raw::sources(input) {
            match source.value.strip_prefix("_mod/").filter(|_| !sources.is_root()) {
                Some(port) => {
                    let Some(outer) = wires.get(port) else { continue };
                    self.through(outer, &mut wire, source.pos, node)?;
                }
                None => {
                    let Some(value) = sources.flat(&source, node, &name.value, self.report) else { continue };
                    wire.sources.push(At { pos: source.pos, value });
                }
            }
        }
        (!wire.sources.is_empty()).then_some(wire)
    }

    /// Adds what a port is wired to outside. `None`: there is no room for it, which was said.
    fn through(&mut self, outer: &Wire, wire: &mut Wire, pos: Pos, node: &str) -> Option<()> {
        let copied = outer.sources.iter().chain(outer.declared.iter().map(|declared| &declared.urn));
        let copied: usize = copied.map(|at| at.value.len()).sum();
        let further: usize = outer.options.iter().map(|(_, value)| yaml::size(value).1).sum();
        // One is counted with the node that it goes to; several may go to many inputs of one node.
        if !self.afford(outer.sources.len() - 1, copied + further, pos, node) {
            return None;
        }
        for (key, value) in &outer.options {
            if !wire.options.iter().any(|(own, _)| own.value == key.value) {
                wire.options.push((key.clone(), value.clone()));
            }
        }
        wire.sources.extend(outer.sources.iter().cloned());
        wire.declared.extend(outer.declared.iter().cloned());
        Some(())
    }

    fn node(
        &mut self,
        node: &Yaml,
        scope: &Scope,
        sources: &Sources<'_>,
        wires: &BTreeMap<String, Wire>,
        passed: &Passed,
        types: &BTreeMap<String, At<String>>,
    ) {
        let id = node.get("id").and_then(Yaml::text).unwrap_or("?");
        let name = format!("{}{id}", scope.prefix);
        let mut flat = node.clone();
        if let Some(id) = flat.get_mut("id") {
            *id = Yaml::of_text(id.pos, &*name);
        }
        self.each_block(&mut flat, &mut |this, block| this.ports(block, &name, sources, wires, types));
        if !sources.is_root() {
            self.surroundings(&mut flat, scope, passed);
            let (values, text, _) = yaml::size(&flat);
            if !self.afford(values, text, node.pos, &name) {
                return;
            }
        }
        self.nodes.push(flat);
    }

    /// Calls `change` with the node and its operators.
    fn each_block(&mut self, node: &mut Yaml, change: &mut dyn FnMut(&mut Self, &mut Yaml)) {
        for key in ["operator", "custom"] {
            if let Some(block) = node.get_mut(key) {
                change(self, block);
            }
        }
        if let Some(Yaml { value: Value::List(items), .. }) = node.get_mut("operators") {
            items.iter_mut().for_each(|item| change(self, item));
        }
        change(self, node);
    }

    /// Inputs and types of a node or operator.
    fn ports(
        &mut self,
        block: &mut Yaml,
        name: &str,
        sources: &Sources<'_>,
        wires: &BTreeMap<String, Wire>,
        types: &BTreeMap<String, At<String>>,
    ) {
        let mut inputs = Vec::new();
        let written = inputs_of(block).to_vec();
        let own = annotations(block, "input_types");
        let mut input_types = block.get("input_types").map(Yaml::map).unwrap_or_default().to_vec();
        let mut gone = BTreeSet::new();
        for (input, value) in &written {
            if raw::sources(value).is_empty() {
                inputs.push((input.clone(), value.clone()));
                continue;
            }
            let Some(wire) = self.wire(input, value, name, sources, wires) else {
                gone.insert(input.value.as_str());
                continue;
            };
            match (own.get(&input.value), wire.declared.as_slice()) {
                (_, []) => {}
                (Some(own), all) => {
                    for declared in all {
                        self.compare(TypeOf::Urn(declared.urn.clone()), own, name, &input.value, true);
                    }
                }
                (None, [first, others @ ..]) => {
                    first.inherited.set(true);
                    input_types.push((input.clone(), Yaml::of_text(first.urn.pos, &*first.urn.value)));
                    for other in others {
                        self.compare(TypeOf::Urn(other.urn.clone()), &first.urn, name, &input.value, true);
                    }
                }
            }
            inputs.push((input.clone(), flat_input(value.pos, wire)));
        }
        if let Some(place) = block.get_mut("inputs").filter(|_| !written.is_empty()) {
            place.value = Value::Map(inputs);
        }
        input_types.retain(|(input, _)| !gone.contains(input.value.as_str()));
        set_map(block, "input_types", input_types);
        let own = annotations(block, "output_types");
        let mut output_types = block.get("output_types").map(Yaml::map).unwrap_or_default().to_vec();
        for output in raw::texts(block, "outputs") {
            let Some(wanted) = types.get(&output.value) else { continue };
            match own.get(&output.value) {
                Some(own) => self.compare(TypeOf::Urn(own.clone()), wanted, name, &output.value, false),
                None => output_types.push((output, Yaml::of_text(wanted.pos, &*wanted.value))),
            }
        }
        set_map(block, "output_types", output_types);
    }

    /// Environment, build, machine and files of a node inside of a module.
    fn surroundings(&mut self, node: &mut Yaml, scope: &Scope, passed: &Passed) {
        let own = scope.params.variables();
        let env = merged(node.get("env").map(Yaml::map).unwrap_or_default(), own.chain(passed.env.clone()));
        if !env.is_empty() {
            let at = key(node, "env");
            node.set(at, Yaml { pos: node.pos, value: Value::Map(env) });
        }
        if let Some((name, block)) = &passed.deploy {
            match ["deploy", "_unstable_deploy"].into_iter().find(|key| node.get(key).is_some()) {
                Some(own) => {
                    let entries = node.get(own).map(Yaml::map).unwrap_or_default();
                    let entries = merged(entries, block.map().iter().cloned());
                    let value = Yaml { pos: block.pos, value: Value::Map(entries) };
                    node.set(At { pos: name.pos, value: own.to_owned() }, value);
                }
                None => node.set(name.clone(), block.clone()),
            }
        }
        let base = self.base.clone();
        let cloned = node.get("git").is_some();
        let id = node.get("id").and_then(Yaml::text).unwrap_or("?").to_owned();
        if let (Some(line), true) = (passed.build.first(), cloned) {
            let about = About { node: Some(&id), field: Some("build") };
            let message = "is not run before the build of this node, which happens in its repository";
            self.report.warn(line.pos, about, message, &[]);
        }
        let mut first = !cloned;
        self.each_block(node, &mut |_, block| {
            // The node comes last; one with operators has its build lines there.
            let buildable = block.get("path").is_some() || block.get("custom").is_some();
            let operator =
                ["python", "shared-library", "shared_library"].iter().any(|key| block.get(key).is_some());
            if buildable || operator {
                let before = if first { &*passed.build } else { &[] };
                build(block, before, if cloned { Path::new("") } else { &scope.dir });
                first = false;
            }
            files(block, &base, &scope.dir, cloned);
        });
    }

    /// What reaches the nodes of `inner`, the module behind `node`, which stands in a file of `outer`. `None`: there is no room
    /// for it, which was said.
    fn passed(&mut self, node: &Yaml, outer: &Scope, inner: &Scope, passed: &Passed) -> Option<Passed> {
        // Counted before it is copied: a module costs this much even without nodes.
        let (values, text) = passed.size();
        let id = node.get("id").and_then(Yaml::text).unwrap_or("?");
        if !self.afford(values, text, node.pos, &format!("{}{id}", outer.prefix)) {
            return None;
        }
        let mut build = passed.build.clone();
        for (text, dir) in [(raw::text(node, "build"), &outer.dir), (inner.build.clone(), &inner.dir)] {
            let Some(text) = text else { continue };
            for line in values::lines(&text.value) {
                build.push(At { pos: text.pos, value: paths::build_line(dir, &line) });
            }
        }
        let deploy = ["deploy", "_unstable_deploy"].into_iter().find_map(|key| node.entry(key));
        let deploy = match (deploy, &passed.deploy) {
            (Some((name, own)), Some((_, outer))) => {
                let entries = merged(own.map(), outer.map().iter().cloned());
                Some((name.clone(), Yaml { pos: own.pos, value: Value::Map(entries) }))
            }
            (own, outer) => own.cloned().or_else(|| outer.clone()),
        };
        let env = node.get("env").map(Yaml::map).unwrap_or_default();
        Some(Passed { env: merged(env, passed.env.clone()), build, deploy })
    }
}

/// `own` with what `more` has besides.
fn merged(
    own: &[(At<String>, Yaml)],
    more: impl IntoIterator<Item = (At<String>, Yaml)>,
) -> Vec<(At<String>, Yaml)> {
    let mut all = own.to_vec();
    let mut known: BTreeSet<String> = own.iter().map(|(key, _)| key.value.clone()).collect();
    all.extend(more.into_iter().filter(|(key, _)| known.insert(key.value.clone())));
    all
}

/// The key as it stands there, or one at the beginning of the map.
fn key(yaml: &Yaml, name: &str) -> At<String> {
    let pos = yaml.entry(name).map_or(yaml.pos, |(key, _)| key.pos);
    At { pos, value: name.to_owned() }
}

/// Types by the name of their port.
fn annotations(block: &Yaml, map: &str) -> BTreeMap<String, At<String>> {
    let entries = block.get(map).map(Yaml::map).unwrap_or_default();
    let typed = |yaml: &Yaml| Some(At { pos: yaml.pos, value: yaml.text()?.to_owned() });
    entries.iter().filter_map(|(name, urn)| Some((name.value.clone(), typed(urn)?))).collect()
}

/// Replaces a map that is there, or adds one that is not empty.
fn set_map(block: &mut Yaml, name: &str, entries: Vec<(At<String>, Yaml)>) {
    let written = block.get(name).map(|yaml| (matches!(yaml.value, Value::Map(_)), yaml.pos));
    match written {
        None if entries.is_empty() => {}
        // What is no map was reported as that.
        Some((false, _)) => {}
        _ => {
            let pos = written.map_or(block.pos, |(_, pos)| pos);
            let at = key(block, name);
            block.set(at, Yaml { pos, value: Value::Map(entries) });
        }
    }
}

fn flat_input(pos: Pos, wire: Wire) -> Yaml {
    let mut sources: Vec<Yaml> =
        wire.sources.into_iter().map(|source| Yaml::of_text(source.pos, source.value)).collect();
    let source = match sources.pop() {
        Some(one) if sources.is_empty() && wire.options.is_empty() => return one,
        Some(one) if sources.is_empty() => one,
        last => {
            sources.extend(last);
            Yaml { pos: sources.first().map_or(pos, |first| first.pos), value: Value::List(sources) }
        }
    };
    let key = At { pos: source.pos, value: "source".to_owned() };
    let entries = std::iter::once((key, source)).chain(wire.options).collect();
    Yaml { pos, value: Value::Map(entries) }
}

fn build(block: &mut Yaml, before: &[At<String>], dir: &Path) {
    let own = raw::text(block, "build");
    let pos = own.as_ref().map_or(block.pos, |at| at.pos);
    let own = own.map(|at| values::lines(&at.value)).unwrap_or_default();
    let own = own.iter().map(|line| paths::build_line(dir, line));
    let lines: Vec<String> = before.iter().map(|at| at.value.clone()).chain(own).collect();
    if !lines.is_empty() {
        let at = key(block, "build");
        block.set(at, Yaml::of_text(pos, lines.join("\n")));
    }
}

/// Programs and libraries lie beside the module file.
fn files(block: &mut Yaml, base: &Path, dir: &Path, cloned: bool) {
    let replace = |yaml: &mut Yaml, path: &dyn Fn(&str) -> String| {
        if let Value::Scalar { text, .. } = &mut yaml.value {
            *text = path(text);
        }
    };
    let program = |path: &str| paths::program(base, dir, path);
    let file = |path: &str| paths::file(dir, path);
    if let Some(Yaml { value: Value::Scalar { text, .. }, .. }) = block.get_mut("git")
        && (text.starts_with("./") || text.starts_with("../"))
    {
        *text = paths::file(dir, text);
    }
    if !cloned {
        for key in ["path", "source"] {
            if let Some(path) = block.get_mut(key) {
                replace(path, &program);
            }
        }
    }
    for key in ["python", "shared-library", "shared_library"] {
        let Some(path) = block.get_mut(key) else { continue };
        if let Some(environment) = path.get_mut("conda_env") {
            replace(environment, &|name| paths::conda_env(dir, name));
        }
        match path.get_mut("source") {
            Some(source) => replace(source, &file),
            None => replace(path, &file),
        }
    }
}
