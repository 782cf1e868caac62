//! Outputs of a test: as JSON objects, to wherever the test wants them.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{BufWriter, Write},
    sync::Arc,
    time::Instant,
};

use arrow_array::{Array, make_array};
use arrow_data::ArrayData;
use dora_arrow_codec::{Plan, TypeRef, decode};
use dora_protocol::{DataId, metadata::MetadataParameters, node_link::ExtensionCall, wire_type};

use super::{OutputJson, OutputSender, TestingOptions, TestingOutput, json};
use crate::{
    NodeError, NodeResult,
    node::{AlignedBytes, EncodedSample},
};

/// The sending half of a test.
pub(crate) struct TestOutputs {
    sink: Sink,
    options: TestingOptions,
    start: Instant,
    hlc: uhlc::HLC,
    /// Undeclared outputs are none when nothing was declared at all.
    any: bool,
    outputs: Vec<(DataId, bool)>,
    table: BTreeMap<(String, String), Vec<u8>>,
}

enum Sink {
    Lines(Box<dyn Write + Send>),
    Channel(OutputSender),
    Terminal,
}

impl fmt::Debug for TestOutputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestOutputs").field("outputs", &self.outputs).finish_non_exhaustive()
    }
}

impl TestOutputs {
    pub(crate) fn new(to: TestingOutput, options: TestingOptions, declared: Vec<DataId>) -> NodeResult<Self> {
        let sink = match to {
            TestingOutput::ToFile(path) => {
                let file = fs::File::create(&path)
                    .map_err(|error| NodeError::Init(format!("{}: {error}", path.display())))?;
                Sink::Lines(Box::new(BufWriter::new(file)))
            }
            TestingOutput::ToWriter(writer) => Sink::Lines(writer),
            TestingOutput::ToChannel(sender) => Sink::Channel(sender),
        };
        Ok(Self::with(sink, options, declared))
    }

    pub(crate) fn terminal() -> Self {
        Self::with(Sink::Terminal, TestingOptions::default(), Vec::new())
    }

    fn with(sink: Sink, options: TestingOptions, declared: Vec<DataId>) -> Self {
        Self {
            sink,
            options,
            start: Instant::now(),
            hlc: uhlc::HLC::default(),
            any: declared.is_empty(),
            outputs: declared.into_iter().map(|id| (id, false)).collect(),
            table: BTreeMap::new(),
        }
    }

    pub(crate) fn index(&mut self, id: &DataId) -> Option<u32> {
        let known = self.outputs.iter().position(|(known, _)| known == id);
        if known.is_none() && self.any {
            self.outputs.push((id.clone(), false));
            return Some(self.outputs.len() as u32 - 1);
        }
        known.map(|at| at as u32)
    }

    pub(crate) fn is_closed(&self, output: u32) -> bool {
        self.outputs[output as usize].1
    }

    pub(crate) fn close(&mut self, closing: &[u32]) {
        for output in closing {
            self.outputs[*output as usize].1 = true;
        }
    }

    /// Goes through the bytes of a slot as a real message does, so that a test finds what a dataflow would.
    pub(crate) fn send(&mut self, output: u32, params: &MetadataParameters, plan: &Plan) -> NodeResult<()> {
        let broken = |error: dora_arrow_codec::CodecError| NodeError::Data(error.to_string());
        let mut bytes = AlignedBytes::zeroed(plan.payload_len());
        plan.write(&mut bytes);
        let (type_id, record) = named(plan.type_ref().map_err(broken)?);
        let array = decode(type_id, record.as_deref(), plan.layout(), Arc::new(bytes)).map_err(broken)?;
        self.write(output, params, array)
    }

    pub(crate) fn send_with(
        &mut self,
        output: u32,
        params: &MetadataParameters,
        (type_id, len): (u32, usize),
        write: impl FnOnce(&mut [u8]),
    ) -> NodeResult<()> {
        let mut bytes = AlignedBytes::zeroed(len);
        write(&mut bytes);
        let array = decode(type_id, None, &[], Arc::new(bytes));
        self.write(output, params, array.map_err(|error| NodeError::Data(error.to_string()))?)
    }

    pub(crate) fn send_encoded(
        &mut self,
        output: u32,
        params: &MetadataParameters,
        encoded: EncodedSample,
    ) -> NodeResult<()> {
        let (type_id, record) = named(encoded.type_ref);
        let array = decode(type_id, record.as_deref(), &encoded.layout, Arc::new(encoded.bytes));
        self.write(output, params, array.map_err(|error| NodeError::Data(error.to_string()))?)
    }

    fn write(&mut self, output: u32, params: &MetadataParameters, data: ArrayData) -> NodeResult<()> {
        let id = &self.outputs[output as usize].0;
        let array = make_array(data);
        let failed = |what: String| NodeError::Output(format!("output `{id}`: {what}"));
        let mut object = OutputJson::new();
        object.insert("id".into(), id.as_str().into());
        if !self.options.skip_output_time_offsets {
            object.insert("time_offset_secs".into(), self.start.elapsed().as_secs_f64().into());
        }
        object.insert("data".into(), json::from_array(&array).map_err(failed)?);
        object.insert("data_type".into(), json::from_type(array.data_type()).map_err(failed)?);
        if !params.is_empty() {
            let params = serde_json::to_value(params).map_err(|error| failed(error.to_string()))?;
            object.insert("metadata".into(), params);
        }
        match &mut self.sink {
            Sink::Channel(sender) => sender.0.send(object).map_err(|_| failed("nobody receives it".into())),
            Sink::Lines(writer) => {
                let written = writeln!(writer, "{}", serde_json::Value::Object(object));
                written.and_then(|()| writer.flush()).map_err(|error| failed(error.to_string()))
            }
            Sink::Terminal => {
                println!("{}", serde_json::Value::Object(object));
                Ok(())
            }
        }
    }

    pub(crate) fn timestamp(&self) -> uhlc::Timestamp {
        self.hlc.new_timestamp()
    }

    /// A table of the node's own; nobody else is there to share it with.
    pub(crate) fn extension(&mut self, call: ExtensionCall) -> NodeResult<Option<Vec<u8>>> {
        Ok(match call {
            ExtensionCall::Store { ns, key, value } => {
                self.table.insert((ns, key), value);
                None
            }
            ExtensionCall::Load { ns, key, remove: true } => self.table.remove(&(ns, key)),
            ExtensionCall::Load { ns, key, remove: false } => self.table.get(&(ns, key)).cloned(),
            ExtensionCall::Drop { ns, key } => {
                self.table.remove(&(ns, key));
                None
            }
            ExtensionCall::Request { ns, .. } => {
                let what =
                    format!("nothing answers extension requests of `{ns}`: the node runs without a daemon");
                return Err(NodeError::Connection(what));
            }
        })
    }
}

fn named(type_ref: TypeRef) -> (u32, Option<Vec<u8>>) {
    match type_ref {
        TypeRef::WellKnown(id) => (id, None),
        TypeRef::Record(record) => (wire_type::FIRST_DYNAMIC, Some(record)),
    }
}
