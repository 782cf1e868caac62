//! `tracing` macros become lines of the node's log.

use std::{
    collections::BTreeMap,
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use dora_protocol::{DataflowId, NodeId, log::LogLevel};
use serde_json::Value;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
};

use crate::{NodeError, NodeResult, node::log};

/// Says that `tracing` is set up. Nothing happens when it is dropped.
#[derive(Debug)]
pub struct TracingGuard(());

/// Makes the macros of `tracing` write to the node's log, for all threads of the process. `RUST_LOG` may name a level;
/// without it `info` and everything more severe is written. Spans are not written.
///
/// # Errors
/// [`NodeError::Init`] when `tracing` is set up already.
pub fn init_tracing(node_id: &NodeId, _dataflow_id: &DataflowId) -> NodeResult<TracingGuard> {
    let max = std::env::var("RUST_LOG").ok().and_then(|name| name.parse().ok()).unwrap_or(LevelFilter::INFO);
    let lines = Lines { node_id: node_id.to_string(), max, next_span: AtomicU64::new(1) };
    tracing::subscriber::set_global_default(lines).map_err(|_| {
        NodeError::Init("`tracing` has been set up before, by this program or a library".into())
    })?;
    Ok(TracingGuard(()))
}

struct Lines {
    node_id: String,
    max: LevelFilter,
    next_span: AtomicU64,
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.max
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.max)
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(self.next_span.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.message.unwrap_or_default();
        let others = (!fields.others.is_empty()).then_some(&fields.others);
        let metadata = event.metadata();
        log::print(&self.node_id, level(*metadata.level()), &message, Some(metadata.target()), others);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

fn level(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    }
}

#[derive(Default)]
struct Fields {
    message: Option<String>,
    others: BTreeMap<&'static str, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = Some(text),
            ("message", other) => self.message = Some(other.to_string()),
            (name, value) => {
                self.others.insert(name, value);
            }
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    type Line = (LogLevel, String, BTreeMap<&'static str, Value>);

    /// Takes the fields of events instead of printing them.
    #[derive(Default)]
    struct Taking(Mutex<Vec<Line>>);

    impl Subscriber for Taking {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut fields = Fields::default();
            event.record(&mut fields);
            let line = (level(*event.metadata().level()), fields.message.unwrap_or_default(), fields.others);
            self.0.lock().unwrap().push(line);
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    #[test]
    fn message_and_fields_of_an_event_are_kept_apart() {
        let taking = std::sync::Arc::new(Taking::default());
        tracing::subscriber::with_default(taking.clone(), || {
            tracing::warn!(motor = 3, ratio = 0.5, ok = true, name = "left", "too {}", "hot");
        });
        let lines = taking.0.lock().unwrap();
        let (level, message, fields) = &lines[0];
        assert_eq!((*level, message.as_str()), (LogLevel::Warn, "too hot"));
        assert_eq!(
            serde_json::json!(fields),
            serde_json::json!({"motor": 3, "ratio": 0.5, "ok": true, "name": "left"})
        );
    }
}
