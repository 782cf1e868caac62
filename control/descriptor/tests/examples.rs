//! Descriptors as users have them: each must be accepted.

use std::path::Path;

use dora_descriptor::{Loaded, load, parse_str};

fn accepted(text: &str) -> Loaded {
    parse_str("dataflow.yml", text, Path::new("/"), &[]).unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

#[test]
fn a_descriptor_with_every_key_is_accepted() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/full.yml");
    let loaded = load(&path, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.dataflow.nodes.len(), 8);
    assert_eq!(loaded.type_warnings, []);
    let fatal: Vec<&str> = loaded.fatal().map(|entry| entry.field.as_str()).collect();
    assert_eq!(fatal, ["ros2"]);
}

#[test]
fn two_python_nodes_with_an_editor_comment() {
    let loaded = accepted(
        "# yaml-language-server: $schema=https://raw.githubusercontent.com/dora-rs/dora/main/dora-schema.json
nodes:
  - id: sender
    path: sender.py
    outputs:
      - message
  - id: receiver
    path: receiver.py
    inputs:
      message: sender/message
",
    );
    assert!(loaded.not_yet.is_empty() && loaded.warnings.is_empty());
}

#[test]
fn camera_detection_and_plot() {
    let loaded = accepted(
        "nodes:
  - id: camera
    build: pip install opencv-video-capture
    path: opencv-video-capture
    inputs:
      tick: dora/timer/millis/20
    outputs: [image]
    env: { CAPTURE_PATH: 0, IMAGE_WIDTH: 640, IMAGE_HEIGHT: 480 }
  - id: object-detection
    build: pip install dora-yolo
    path: dora-yolo
    inputs: { image: camera/image }
    outputs: [bbox]
  - id: plot
    build: pip install dora-rerun
    path: dora-rerun
    inputs: { image: camera/image, boxes2d: object-detection/bbox }
",
    );
    assert_eq!(loaded.dataflow.nodes[2].inputs.len(), 2);
}

#[test]
fn long_inputs_faults_and_logs() {
    accepted(
        "health_check_interval: 5.0
nodes:
  - id: other-node
    path: o
    outputs: [output]
  - id: my-node
    name: \"My Node\"
    path: ./target/debug/my-node
    build: cargo build -p my-node
    inputs:
      tick: dora/timer/millis/100
      data: other-node/output
      sensor_data:
        source: other-node/output
        queue_size: 10
        queue_policy: drop_oldest
        input_timeout: 5.0
    outputs:
      - processed
      - raw_output
      - log_entries
    env:
      MY_VAR: \"value\"
      FROM_ENV:
        __dora_env: HOST_VAR
    args: \"--verbose\"
    restart_policy: on-failure
    max_restarts: 5
    restart_delay: 1.0
    max_restart_delay: 30.0
    restart_window: 300.0
    health_check_timeout: 30.0
    min_log_level: info
    send_stdout_as: raw_output
    send_logs_as: log_entries
    max_log_size: \"50MB\"
    max_rotated_files: 5
    _unstable_deploy:
      machine: A
_unstable_debug:
  publish_all_messages_to_zenoh: true
",
    );
}

#[test]
fn operators_with_a_logger() {
    accepted(
        "health_check_interval: 10.0
_unstable_debug:
  enable_debug_inspection: true
nodes:
  - id: webcam
    operator:
      python: webcam.py
      inputs: { tick: dora/timer/millis/100 }
      outputs: [image]
  - id: detector
    operator:
      python: detect.py
      build: pip install ultralytics
      inputs: { image: webcam/image }
      outputs: [bbox]
  - id: plotter
    operator:
      python: plot.py
      inputs: { image: webcam/image, bbox: detector/bbox }
  - id: logger
    path: ./logger
    inputs: { bbox: detector/bbox }
    send_stdout_as: logs
    min_log_level: info
    restart_policy: on-failure
    max_restarts: 3
    outputs: [logs]
",
    );
}

#[test]
fn machines_with_labels() {
    accepted(
        "nodes:
  - id: camera-driver
    _unstable_deploy:
      machine: robot-arm
    path: ./target/debug/camera
    outputs: [frames]
  - id: ml-inference
    _unstable_deploy:
      machine: gpu-server
      labels:
        gpu: \"true\"
      distribute: scp
    path: ./target/debug/inference
    inputs: { frames: camera-driver/frames }
",
    );
}

#[test]
fn ros2_topic_service_and_action() {
    accepted(
        "nodes:
  - id: camera_bridge
    ros2:
      topic: /camera/image_raw
      message_type: sensor_msgs/Image
      direction: subscribe
    outputs: [image]
  - id: add_service
    ros2:
      service: /add_two_ints
      service_type: example_interfaces/AddTwoInts
      role: server
    inputs: { request: camera_bridge/image }
    outputs: [response]
  - id: nav_action
    ros2:
      action: /navigate
      action_type: nav2_msgs/NavigateToPose
      role: client
    inputs: { goal: add_service/response }
    outputs: [feedback, result]
",
    );
}

#[test]
fn a_real_time_controller() {
    let loaded = accepted(
        "nodes:
  - id: imu
    path: imu
    inputs: { tick: dora/timer/hz/1000 }
    outputs: [sample]
  - id: controller
    path: controller
    cpu_affinity: [1]
    rt: { policy: fifo, priority: 80, wait: spin 50us }
    inputs:
      imu:
        source: imu/sample
        deadline: 500us
    outputs: [torque]
    output_layout: { torque: { max_message_bytes: 256, depth: 8 } }
",
    );
    assert!(loaded.not_yet.is_empty() && loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn the_examples_of_the_guide_are_accepted_without_warnings() {
    let guide = include_str!("../../../docs/guide/dataflow-yaml.md");
    let blocks: Vec<&str> =
        guide.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let whole = blocks.into_iter().filter(|block| block.contains("nodes:\n") && !block.contains("module:"));
    let whole: Vec<&str> = whole.collect();
    assert!(whole.len() >= 2, "{}", whole.len());
    for block in whole {
        let loaded = accepted(block);
        assert!(loaded.warnings.is_empty() && loaded.not_yet.is_empty(), "{block}");
    }
}

#[test]
fn every_example_of_the_repository_is_accepted_with_its_types() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut seen = 0;
    for folder in std::fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path()) {
        let path = folder.join("dataflow.yml");
        if path.is_file() {
            let loaded = load(&path, &[]).unwrap_or_else(|errors| panic!("{errors}"));
            assert_eq!(loaded.type_warnings, [], "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 10, "{seen}");
}
