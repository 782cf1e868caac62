//! The node alone, without a dataflow: events go in, outputs come out.

use dora_node_api::integration_testing::{
    IntegrationTestInput, TestingInput, TestingOptions, TestingOutput, drain_outputs, output_channel,
    setup_integration_testing,
};

#[test]
fn every_tick_is_counted() {
    let events = r#"{"id": "__NAME__", "events": [
        {"type": "Input", "time_offset_secs": 0.0, "id": "tick", "data": null},
        {"type": "Input", "time_offset_secs": 0.1, "id": "tick", "data": null},
        {"type": "Stop", "time_offset_secs": 0.2}]}"#;
    let input: IntegrationTestInput = serde_json::from_str(events).expect("events");
    let (sender, mut outputs) = output_channel();
    let options = TestingOptions { skip_output_time_offsets: true };
    setup_integration_testing(TestingInput::Input(input), TestingOutput::ToChannel(sender), options);
    assert_eq!(__CRATE__::run().expect("the node ends well"), 2);
    let counts: Vec<_> = drain_outputs(&mut outputs).iter().map(|output| output["data"].clone()).collect();
    assert_eq!(counts, [serde_json::json!([1]), serde_json::json!([2])]);
}
