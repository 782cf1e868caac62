//! The nodes alone, without a dataflow: events go in, outputs come out.

use dora_node_api::integration_testing::{
    IntegrationTestInput, OutputReceiver, TestingInput, TestingOptions, TestingOutput, drain_outputs, output_channel,
    setup_integration_testing,
};

/// Lets the next node on this thread be `node`, with these events and a stop.
fn given(node: &str, events: &str) -> OutputReceiver {
    let text = format!(r#"{{"id": "{node}", "events": [{events}, {{"type": "Stop", "time_offset_secs": 0.0}}]}}"#);
    let input: IntegrationTestInput = serde_json::from_str(&text).expect("events");
    let (sender, receiver) = output_channel();
    let options = TestingOptions { skip_output_time_offsets: true };
    setup_integration_testing(TestingInput::Input(input), TestingOutput::ToChannel(sender), options);
    receiver
}

#[test]
fn talker_says_hello_on_every_tick() {
    let tick = r#"{"type": "Input", "time_offset_secs": 0.0, "id": "tick", "data": null}"#;
    let mut outputs = given("parrot", &format!("{tick}, {tick}"));
    assert_eq!(__CRATE__::talker().expect("the talker ends well"), 2);
    let said: Vec<_> = drain_outputs(&mut outputs).iter().map(|output| output["data"].clone()).collect();
    assert_eq!(said, [serde_json::json!(["hello 1 from parrot"]), serde_json::json!(["hello 2 from parrot"])]);
}

#[test]
fn listener_hears_every_input() {
    let speech = r#"{"type": "Input", "time_offset_secs": 0.0, "id": "speech-1", "data": "hello"}"#;
    given("listener", speech);
    assert_eq!(__CRATE__::listener().expect("the listener ends well"), 1);
}
