//! What a node sends is compared with the types that its outputs declare, when `DORA_RUNTIME_TYPE_CHECK` asks for
//! it.
//!
//! After the first message of an output, one comparison of two types per message. Nothing at all when it is off.

use arrow_schema::DataType;
use dora_arrow_codec::type_of_values;
use dora_protocol::{
    DataId, NodeId,
    metadata::{MetadataParameters, is_correlated},
    node_link::Setup,
};

use super::library::{Shape, difference, shape};
use crate::{NodeError, NodeResult, descriptor::Descriptor, node::log};

/// Switches the comparison on.
const ENV: &str = "DORA_RUNTIME_TYPE_CHECK";

/// What a mismatch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// One log line per output; everything is sent.
    Warn,
    /// The call fails, nothing is sent.
    Error,
}

/// `None` is off. An error when it is no mode.
fn mode(text: &str) -> Result<Option<Mode>, ()> {
    match text.trim().to_ascii_lowercase().as_str() {
        "" | "0" | "false" | "off" => Ok(None),
        "1" | "true" | "on" | "warn" => Ok(Some(Mode::Warn)),
        "error" => Ok(Some(Mode::Error)),
        _ => Err(()),
    }
}

/// The types that the outputs of a node declare.
#[derive(Debug)]
pub(crate) struct SendCheck {
    node: NodeId,
    mode: Mode,
    /// By number of the output; `None` where nothing is declared that could be compared.
    outputs: Vec<Option<Declared>>,
}

#[derive(Debug)]
struct Declared {
    output: DataId,
    urn: String,
    shape: Shape,
    /// The type that was found good last.
    good: Option<DataType>,
    warned: bool,
}

impl SendCheck {
    /// What the environment asks for. `None` when nothing is to be compared.
    pub(crate) fn from_env(setup: &Setup, descriptor: Option<&Descriptor>) -> Option<Self> {
        let text = std::env::var(ENV).ok()?;
        let node = setup.run.node_id.as_str();
        let mode = mode(&text).unwrap_or_else(|()| {
            let what =
                format!("`{ENV}` is `{text}`, which is none of warn, error, off; types are not compared");
            log::warn(node, &what);
            None
        });
        Self::of(mode?, setup, descriptor?)
    }

    fn of(mode: Mode, setup: &Setup, descriptor: &Descriptor) -> Option<Self> {
        let types = &descriptor.node(&setup.run.node_id)?.output_types;
        let declared = |id: &DataId| {
            let urn = types.get(id)?;
            let (output, urn, shape) = (id.clone(), urn.clone(), shape(urn, descriptor)?);
            Some(Declared { output, urn, shape, good: None, warned: false })
        };
        let outputs: Vec<_> = setup.outputs.iter().map(|wiring| declared(&wiring.id)).collect();
        let node = setup.run.node_id.clone();
        outputs.iter().any(Option::is_some).then_some(Self { node, mode, outputs })
    }

    /// Compares a message with the type that its output declares.
    ///
    /// # Errors
    /// [`NodeError::Output`] when it is something else and the mode is `error`.
    #[inline]
    pub(crate) fn check(
        &mut self,
        output: u32,
        params: &MetadataParameters,
        found: &DataType,
    ) -> NodeResult<()> {
        match self.outputs.get_mut(output as usize) {
            Some(Some(declared)) if declared.good.as_ref() != Some(found) => {
                let Some(what) = declared.compare(params, found) else { return Ok(()) };
                match self.mode {
                    Mode::Error => Err(NodeError::Output(what)),
                    Mode::Warn if declared.warned => Ok(()),
                    Mode::Warn => {
                        declared.warned = true;
                        log::warn(self.node.as_str(), &what);
                        Ok(())
                    }
                }
            }
            _ => Ok(()),
        }
    }
}

impl Declared {
    #[cold]
    fn compare(&mut self, params: &MetadataParameters, found: &DataType) -> Option<String> {
        // Requests and replies of several types may share an output.
        if is_correlated(params) {
            return None;
        }
        let Some(wrong) = difference(&self.shape, found) else {
            self.good = Some(found.clone());
            return None;
        };
        let Self { output, urn, .. } = self;
        Some(format!(
            "output `{output}` is annotated as `{urn}`, but what was sent is {wrong}; correct `output_types`, or what \
             the node sends"
        ))
    }
}

/// The Arrow type of a message that is sent as plain values.
pub(crate) fn of_values(type_id: u32) -> DataType {
    type_of_values(type_id).unwrap_or(DataType::Null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dora_protocol::{
        metadata::{Parameter, REQUEST_ID},
        node_link::{NodeRunConfig, OutputWiring},
    };
    use serde_json::json;

    fn check(mode: Mode) -> SendCheck {
        let types = json!({"a": "std/core/v1/Float64", "own": "own/x/v1/T", "state": "own/x/v1/State"});
        let names = ["own", "a", "b", "state"];
        let json = json!({
            "nodes": [{"id": "n", "outputs": names, "output_types": types}],
            "types": {"own/x/v1/State": {"struct": {"x": "Float64"}}},
        });
        let outputs = names.map(|id| OutputWiring {
            origins: None,
            id: id.into(),
            arena: 0,
            max_message_bytes: None,
            depth: None,
            edges: vec![],
        });
        let run = NodeRunConfig {
            dataflow_id: Default::default(),
            node_id: "n".parse().unwrap(),
            inputs: vec![],
            outputs: vec![],
            restart_count: 0,
        };
        let setup = Setup {
            chains: Vec::new(),
            attention: None,
            run,
            doorbell: 0,
            eventfd: 0,
            status: 0,
            inputs: vec![],
            outputs: outputs.into(),
            exit_when_nodes_finish: false,
            rt: None,
            wait: Default::default(),
            descriptor: json.clone(),
        };
        SendCheck::of(mode, &setup, &Descriptor::read(json).unwrap()).unwrap()
    }

    #[test]
    fn the_modes_are_what_the_manual_says_and_anything_else_is_told_apart() {
        for (texts, expected) in [
            (["", "0", "false", "off"], Ok(None)),
            (["warn", "1", "true", "on"], Ok(Some(Mode::Warn))),
            (["error", "ERROR", " error ", "Error"], Ok(Some(Mode::Error))),
            (["2", "yes", "strict", "warning"], Err(())),
        ] {
            for text in texts {
                assert_eq!(mode(text), expected, "{text}");
            }
        }
    }

    #[test]
    fn a_mismatch_fails_every_call_in_error_mode_and_names_output_and_types() {
        let (mut check, none) = (check(Mode::Error), MetadataParameters::new());
        for _ in 0..2 {
            let error = check.check(1, &none, &DataType::Utf8).unwrap_err().to_string();
            for part in ["`a`", "std/core/v1/Float64", "Utf8", "output_types"] {
                assert!(error.contains(part), "{error}");
            }
            check.check(1, &none, &DataType::Float64).unwrap();
        }
        assert!(check.check(1, &none, &DataType::Float32).is_err(), "a sender is held to the exact type");
    }

    #[test]
    fn a_mismatch_only_warns_in_warn_mode() {
        let (mut check, none) = (check(Mode::Warn), MetadataParameters::new());
        check.check(1, &none, &DataType::Utf8).unwrap();
        assert!(check.outputs[1].as_ref().unwrap().warned);
        check.check(1, &none, &DataType::Utf8).unwrap();
    }

    #[test]
    fn structs_and_types_of_the_user_are_compared_field_by_field() {
        let (mut check, none) = (check(Mode::Error), MetadataParameters::new());
        let state = |x| DataType::Struct(vec![arrow_schema::Field::new("x", x, true)].into());
        check.check(3, &none, &state(DataType::Float64)).unwrap();
        let error = check.check(3, &none, &state(DataType::Float32)).unwrap_err().to_string();
        for part in ["`state`", "own/x/v1/State", "field `x` is Float32"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(check.check(3, &none, &DataType::UInt8).is_err(), "raw bytes are no struct");
    }

    #[test]
    fn outputs_without_a_known_type_and_messages_of_a_request_pass() {
        let (mut check, none) = (check(Mode::Error), MetadataParameters::new());
        for output in [0, 2, 9] {
            check.check(output, &none, &DataType::Utf8).unwrap();
        }
        let request = MetadataParameters::from([(REQUEST_ID.into(), Parameter::String("1".into()))]);
        check.check(1, &request, &DataType::Utf8).unwrap();
        assert!(
            check.check(1, &none, &DataType::Utf8).is_err(),
            "what passed as a request is not remembered as good"
        );
    }
}
