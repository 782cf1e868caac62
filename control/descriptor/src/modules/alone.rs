//! A module file by itself: wired to nobody in particular, with parameters that may be anything.

use std::path::Path;

use super::header;
use crate::{
    error::{At, Errors, Pos, Report, Warning},
    load::{self, Options},
    yaml::{self, Value, Yaml},
};

/// The node that the ports are wired to.
const OUTSIDE: &str = "outside";

/// What `dora expand --module` tells of a module without errors.
#[derive(Clone, Debug)]
pub struct ModuleSummary {
    /// `name` of the header.
    pub name: String,
    /// Ports that must be wired.
    pub inputs: Vec<String>,
    /// Ports that may be wired.
    pub optional_inputs: Vec<String>,
    /// Outputs.
    pub outputs: Vec<String>,
    /// Nodes, those of nested modules included.
    pub nodes: usize,
    /// Worth showing.
    pub warnings: Vec<Warning>,
}

/// Checks the module file at `path`, and those it names: the header, what reads its inputs, one producer per output, the
/// wiring inside, types.
///
/// # Errors
/// Every problem found.
pub fn check_module(path: &Path) -> Result<ModuleSummary, Errors> {
    let (name, text, dir) = load::text_at(path)?;
    let mut report = Report::new(&name);
    let Some(tree) = yaml::parse(&text, &mut report) else { return Err(report.into_errors()) };
    let header = header::read(&tree, &mut report);
    let names = |ports: &[At<String>]| ports.iter().map(|port| port.value.clone()).collect::<Vec<_>>();
    let (inputs, optional) = (names(&header.inputs), names(&header.optional));
    let file = path.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
    let around = |ports: Vec<String>| {
        let report = Report::new(&name);
        load::mean(surroundings(&file, &ports), String::new(), &dir, &Options::default(), true, report)
    };
    let all = inputs.iter().chain(&optional).cloned().collect();
    let loaded = around(all)?;
    if !optional.is_empty() {
        around(inputs.clone())?;
    }
    Ok(ModuleSummary {
        name: header.name,
        inputs,
        optional_inputs: optional,
        outputs: names(&header.outputs),
        nodes: loaded.dataflow.nodes.len() - 1,
        warnings: loaded.warnings.into_iter().chain(loaded.type_warnings).collect(),
    })
}

/// A dataflow that uses the module, with these ports wired.
fn surroundings(file: &str, ports: &[String]) -> Yaml {
    let at = |value: &str| At { pos: Pos::default(), value: value.to_owned() };
    let map = |entries: Vec<(&str, Yaml)>| Yaml {
        pos: Pos::default(),
        value: Value::Map(entries.into_iter().map(|(key, value)| (at(key), value)).collect()),
    };
    let text = |text: &str| Yaml::of_text(Pos::default(), text);
    let list = |items| Yaml { pos: Pos::default(), value: Value::List(items) };
    let outputs = list(ports.iter().map(|port| text(port)).collect());
    let wired = ports.iter().map(|port| (port.as_str(), text(&format!("{OUTSIDE}/{port}")))).collect();
    let outside = map(vec![("id", text(OUTSIDE)), ("path", text(OUTSIDE)), ("outputs", outputs)]);
    let module = map(vec![("id", text("module")), ("module", text(file)), ("inputs", map(wired))]);
    map(vec![("nodes", list(vec![outside, module]))])
}
