//! Any text, any message, any lists: against models that are too plain to be wrong.

use chrono::{DateTime, Utc};
use dora_log_utils::{
    LogLevel, LogMessage, filter_by_level, format_json, merge_by_timestamp, parse_log, plain_log,
};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

const LEVELS: [&str; 6] = ["stdout", "TRACE", "DEBUG", "INFO", "WARN", "ERROR"];

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec(("[a-z]{1,8}", inner), 0..3)
                .prop_map(|pairs| pairs.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// Objects with the keys of log messages and values of any kind; many of them are log messages.
fn nearly_a_message() -> impl Strategy<Value = Value> {
    let keys =
        ["level", "timestamp", "ts", "message", "msg", "node_id", "node", "fields", "line", "file", "stream"];
    let value = prop_oneof![
        4 => Just(json!("info")),
        1 => Just(json!({"message": "m"})),
        1 => json_value(),
    ];
    vec((prop::sample::select(keys.to_vec()), value), 0..12)
        .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn text() -> impl Strategy<Value = Option<String>> {
    prop::option::of(".{0,12}")
}

/// Messages as the daemon makes them.
fn message() -> impl Strategy<Value = LogMessage> {
    let ids = (text(), text(), text(), text());
    let place = (text(), text(), text(), prop::option::of(any::<u32>()));
    let fields = prop::option::of(prop::collection::btree_map(".{1,8}", json_value(), 1..4));
    (ids, place, prop::sample::select(LEVELS.to_vec()), ".{0,40}", ".{0,24}", fields).prop_map(
        |(
            (build_id, dataflow_id, node_id, daemon_id),
            (target, module_path, file, line),
            level,
            message,
            timestamp,
            fields,
        )| {
            LogMessage {
                build_id,
                dataflow_id,
                node_id,
                daemon_id,
                level: level.to_owned(),
                target,
                module_path,
                file,
                line,
                message,
                timestamp,
                fields,
            }
        },
    )
}

/// Few different times, so that many are equal, and some that are none.
fn timed() -> impl Strategy<Value = LogMessage> {
    let time = prop_oneof![
        (0..5_u32).prop_map(|second| format!("2026-01-02T03:04:0{second}Z")),
        (0..5_u32).prop_map(|second| format!("2026-01-02T04:04:0{second}+01:00")),
        Just("some day".to_owned()),
    ];
    (time, 0..1000_u32).prop_map(|(timestamp, n)| LogMessage { timestamp, ..plain_log(&n.to_string()) })
}

/// Takes the oldest of what is left, one after the other.
fn merged_by_hand(lists: &[Vec<LogMessage>]) -> Vec<LogMessage> {
    let mut left: Vec<(DateTime<Utc>, &LogMessage)> = Vec::new();
    for list in lists {
        let mut time = DateTime::<Utc>::MIN_UTC;
        for message in list {
            if let Ok(read) = DateTime::parse_from_rfc3339(&message.timestamp) {
                time = read.into();
            }
            left.push((time, message));
        }
    }
    let mut merged = Vec::new();
    while !left.is_empty() {
        let mut oldest = 0;
        for (at, (time, _)) in left.iter().enumerate() {
            if *time < left[oldest].0 {
                oldest = at;
            }
        }
        merged.push(left.remove(oldest).1.clone());
    }
    merged
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let object = text.trim_start().starts_with('{');
        prop_assert!(parse_log(&text).is_err() || object, "not even an object: {}", text);
    }

    #[test]
    fn an_object_is_a_message_when_level_time_and_text_are_there_and_not_otherwise(object in nearly_a_message()) {
        let string = |keys: [&str; 2]| {
            let found = keys.iter().map(|key| &object[*key]).find(|value| !value.is_null());
            found.map(|value| value.as_str().map(str::to_owned))
        };
        let said = match string(["message", "msg"]) {
            None => object["fields"]["message"].as_str().map(str::to_owned),
            found => found.flatten(),
        };
        let level = object["level"].as_str().is_some_and(|level| level.parse::<LogLevel>().is_ok());
        let expected = level && string(["timestamp", "ts"]).flatten().is_some() && said.is_some();
        let read = parse_log(&object.to_string());
        prop_assert_eq!(read.is_ok(), expected, "{}: {:?}", object, read);
        if let Ok(message) = read {
            prop_assert_eq!(Some(message.message), said);
        }
    }

    #[test]
    fn what_is_written_as_json_reads_the_same(message in message()) {
        let line = format_json(&message);
        prop_assert!(!line.contains('\n'), "one message is one line: {line}");
        prop_assert_eq!(parse_log(&line).unwrap(), message);
    }

    #[test]
    fn merging_is_taking_the_oldest_again_and_again(lists in vec(vec(timed(), 0..12), 0..5)) {
        prop_assert_eq!(merge_by_timestamp(lists.clone()), merged_by_hand(&lists));
    }

    #[test]
    fn filter_keeps_what_is_as_severe_in_its_order(messages in vec(message(), 0..20), least in 0..6_usize) {
        let level: LogLevel = LEVELS[least].parse().unwrap();
        let rank = |message: &LogMessage| LEVELS.iter().position(|level| *level == message.level).unwrap();
        let expected: Vec<&LogMessage> = messages.iter().filter(|message| rank(message) >= least).collect();
        prop_assert_eq!(filter_by_level(&messages, &level), expected);
    }
}
